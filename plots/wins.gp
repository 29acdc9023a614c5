# A row a strategy: datasets won, not told apart, lost, as one bar with its counts.
set lmargin at screen (0.3 + 0.085*longest)/width
set rmargin at screen 1 - 0.3/width
set bmargin at screen 1.0/height
set tmargin at screen 1 - 0.7/height
eval foot
eval headline
set xlabel 'datasets'
set xrange [0 : datasets]
set yrange [rows + 0.6 : 0.4]
set ytics scale 0 (names[1] 1)
do for [i=2:rows] { set ytics add (names[i] i) }
step = datasets > 12 ? 5 : 1
set xtics step
set border 1
set grid noytics
set key at screen 0.5, screen 1 - 0.36/height center top horizontal Left reverse samplen 1.5 width 2
set style fill solid 1 noborder
say(n) = n > 0 ? sprintf('%d', n) : ''
plot data using (0.5*$2):1:(0):2:($1-0.36):($1+0.36) with boxxyerror lc rgb '#2b7bba' title 'won', \
     data using ($2+0.5*$3):1:2:($2+$3):($1-0.36):($1+0.36) with boxxyerror lc rgb '#d4d6d9' fs solid 1 title 'not told apart', \
     data using ($2+$3+0.5*$4):1:($2+$3):($2+$3+$4):($1-0.36):($1+0.36) with boxxyerror lc rgb '#f1a340' fs solid 1 title 'lost', \
     data using (0.5*$2):1:(say($2)) with labels tc rgb '#fefefe' title '', \
     data using ($2+0.5*$3):1:(say($3)) with labels tc rgb '#111111' title '', \
     data using ($2+$3+0.5*$4):1:(say($4)) with labels tc rgb '#111111' title ''
