# Small multiples: one panel a strategy. plots/strategy_picture.py sets folder, output, names (separated by spaces), columns.
lines = (words(names) + columns - 1) / columns
set terminal pngcairo size 240 * columns, 226 * lines + 74 font "sans,10" background rgb "#FFFFFF"
set output output
set multiplot
set xrange [-4.5:4.5]
set yrange [-3.7:3.7]
unset tics
unset key
unset colorbox
set border 15 lw 0.6 lc rgb "#999999"
set palette defined (0 "#FFFFFF", 1 "#C9C4B8")
set cbrange [0:1.1]
height = 226.0 / (226 * lines + 74)
top = 1.0 - 70.0 / (226 * lines + 74)
set label 1 "Ten picks of each strategy from one set, numbered in order. Squares: the twelve labelled points. Colours: the true classes (the strategies do not see them)." \
  at screen 0.008, 1.0 - 20.0 / (226 * lines + 74) font "sans,13"
set label 2 "Shading: the entropy of the linear model fitted to the squares, dark where it is unsure. The small group bottom left has no label yet." \
  at screen 0.008, 1.0 - 44.0 / (226 * lines + 74) font "sans,13"
colour(c) = c == 0 ? 0x0072B2 : c == 1 ? 0x009E73 : 0xCC79A7
do for [i = 1:words(names)] {
  name = word(names, i)
  column = (i - 1) % columns
  line = (i - 1) / columns
  set origin column / real(columns), top - (line + 1) * height
  set size 1.0 / columns, height
  set lmargin at screen column / real(columns) + 0.004
  set rmargin at screen (column + 1) / real(columns) - 0.004
  set bmargin at screen top - (line + 1) * height + 0.03 * height
  set tmargin at screen top - line * height - 0.115 * height
  set title name font "sans,12" offset 0, -0.75
  plot folder . "/field.dat" using 1:2:3 with image, \
    folder . "/class0.dat" with points pt 7 ps 0.35 lc rgb "#0072B2", \
    folder . "/class1.dat" with points pt 7 ps 0.35 lc rgb "#009E73", \
    folder . "/class2.dat" with points pt 7 ps 0.35 lc rgb "#CC79A7", \
    folder . "/labelled.dat" using 1:2:(colour($3)) with points pt 5 ps 0.95 lc rgb variable, \
    folder . "/labelled.dat" using 1:2 with points pt 4 ps 1.0 lw 1.1 lc rgb "#000000", \
    folder . "/" . name . ".dat" using 1:2 with points pt 7 ps 1.55 lc rgb "#D55E00", \
    folder . "/" . name . ".dat" using 1:2:3 with labels font "sans,7" textcolor rgb "#FFFFFF"
  unset label 1
  unset label 2
}
unset multiplot
