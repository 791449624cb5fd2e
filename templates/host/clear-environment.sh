{% if cleared %}
# What this login has in its environment counts for nothing in what is measured: only what is set below does.
for name in $(compgen -e); do
  case $name in
{% for patterns in cleared | batch(8) %}
    {{ patterns | join(" | ") }}{% if not loop.last %} | \
{% else %}) unset "$name" ;;
{% endif %}
{% endfor %}
  esac
done
{% endif %}
