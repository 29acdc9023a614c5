# A heat map: rows from above, names at the left and (slanted) at the top, a text in each cell that has room for it.
set lmargin at screen (0.25 + 0.085*longest)/width
set rmargin at screen 1 - 0.3/width
set bmargin at screen 0.62/height
many = columns > 16
set tmargin at screen 1 - (0.42 + (many ? 0.066 : 0.056)*tallest)/height
eval foot
eval headline
set border 0
unset grid
set xrange [0.5 : columns + 0.5]
set yrange [rows + 0.5 : 0.5]
unset xtics
set x2range [0.5 : columns + 0.5]
narrow = of_size(9.5)
if (many) {
  set x2tics rotate by 90 left scale 0 (column_names[1] 1) font narrow
} else {
  set x2tics rotate by 40 left offset 0,0 scale 0 (column_names[1] 1)
}
do for [c=2:columns] { set x2tics add (column_names[c] c) }
set ytics scale 0 (row_names[1] 1)
do for [r=2:rows] { set ytics add (row_names[r] r) }
set style fill solid 1 noborder
plot data using 1:($3 == $3 ? $2 : NaN):($1-0.48):($1+0.48):($2-0.46):($2+0.46):4 with boxxyerror lc rgb variable title '', \
     data using 1:2:6:5 with labels tc rgb variable font of_size(10.5) title ''
