# File names are unique across the tree, and includes point one way: base <- config, data, torch, strategy, oracle, record <- model <- sim; stats and report see base and record;
# cli sees all.
set -u
declare -A may=(
  [base]="base" [config]="base config" [data]="base data" [torch]="base torch" [strategy]="base strategy" [oracle]="base oracle"
  [record]="base record" [model]="base data torch strategy model" [sim]="base config data torch strategy oracle record model sim"
  [stats]="base record stats" [report]="base record stats report"
  [cli]="base config data torch strategy oracle record model sim stats report cli")
bad=0
for layer in "${!may[@]}"; do
  while IFS=: read -r file _ include; do
    to=${include#*\"}
    to=${to%%/*}
    case " ${may[$layer]} " in
    *" $to "*) ;;
    *)
      echo "$file includes $to"
      bad=1
      ;;
    esac
  done < <(grep -n '^#include "' src/"$layer"/*.[ch] src/"$layer"/*.cpp 2>/dev/null)
done
twice=$(find src -name '*.c' -o -name '*.cpp' | sed 's#.*/##' | sort | uniq -d)
if [ -n "$twice" ]; then
  echo "file names that stand twice: $twice"
  bad=1
fi
[ $bad -eq 0 ] && echo ok
exit $bad
