# `install` puts the programs of a package from SHELF into BIN; a package that is not there ends it.
for word; do
  case $word in
    -* | *=* | install | update) ;;
    *) cp SHELF/"$word"/* BIN || exit 1 ;;
  esac
done
