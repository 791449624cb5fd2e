# A Python VERSION that can make virtual environments and has no packages. The environment's pip has TensorFlow for the
# versions that it is made for.
[ "$1" = -m ] || exit 1
mkdir -p "$3/bin"
cat >"$3/bin/pip" <<'END'
#!/bin/sh
case VERSION in MADE_FOR) ;; *) exit 1 ;; esac
[ -d "$TMPDIR" ] && [ "${TMPDIR#"${0%/bin/pip}/"}" = tmp ] && touch "${0%/*}/packages"
END
cat >"$3/bin/python3" <<'END'
#!/bin/sh
[ -e "${0%/*}/packages" ]
END
chmod 755 "$3/bin/pip" "$3/bin/python3"
