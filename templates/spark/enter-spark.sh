{% if spark_home_is_set %}
cd {{ spark_home }}/bin || exit 1
{% else %}
SPARK_HOME={{ spark_home }}
export SPARK_HOME
cd "$SPARK_HOME"/bin || exit 1
{% endif %}
