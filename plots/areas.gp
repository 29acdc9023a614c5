# A row a strategy, best first: difference to random with its interval, and its numbers at the right.
set lmargin at screen (0.3 + 0.085*longest)/width
set rmargin at screen 1 - (0.3 + 0.08*widest)/width
set bmargin at screen 1.0/height
set tmargin at screen 1 - 0.4/height
set title title
set xlabel x_title
set xrange [x_from : x_to]
set yrange [rows + 0.6 : 0.4]
set ytics scale 0 (names[1] 1)
do for [i=2:rows] { set ytics add (names[i] i) }
set border 1
eval foot
do for [i=1:rows] { set label i texts[i] at graph 1.02, first i }
if (zero == zero) { set arrow 1 from zero, graph 0 to zero, graph 1 nohead lc rgb '#000000' dt 2 lw 1.2 }
mark(i) = shown[i] ? 7 : 6
plot for [i=1:rows] data using ($1 == i ? $3 : NaN):1:($4-$3):(0) with vectors nohead ls styles[i] dt 1 lw 1.8 title names[i], \
     for [i=1:rows] data using ($1 == i ? $2 : NaN):1 with points ls styles[i] pt mark(i) ps 1 title names[i]
