# Shared look of alab's figures. A figure's script loads this file; edit it and redraw.
# Okabe-Ito colours; strategies are told apart by point shape and dash as well, so that a grey print can be read.
set style line 1 lc rgb "#000000" dt 2 pt 4  lw 2.0 ps 0.7
set style line 2 lc rgb "#0072B2" dt 1 pt 7  lw 1.6 ps 0.7
set style line 3 lc rgb "#D55E00" dt 1 pt 5  lw 1.6 ps 0.7
set style line 4 lc rgb "#009E73" dt 1 pt 9  lw 1.6 ps 0.8
set style line 5 lc rgb "#CC79A7" dt 4 pt 11 lw 1.6 ps 0.8
set style line 6 lc rgb "#E69F00" dt 5 pt 13 lw 1.6 ps 0.8
set style line 7 lc rgb "#56B4E9" dt 4 pt 6  lw 1.6 ps 0.7
set style line 8 lc rgb "#7F5F00" dt 5 pt 8  lw 1.6 ps 0.8
set style line 9 lc rgb "#882255" dt 3 pt 10 lw 1.6 ps 0.8
set style line 10 lc rgb "#44AA99" dt 3 pt 12 lw 1.6 ps 0.8
set style line 11 lc rgb "#AA4499" dt 2 pt 1 lw 1.6 ps 0.8
set style line 12 lc rgb "#666666" dt 2 pt 2 lw 1.6 ps 0.8
set style line 90 lc rgb "#444444" dt 3 lw 1.5
set style line 91 lc rgb "#DDDDDD" lw 0.7
set grid back ls 91
set border 3 lc rgb "#555555"
set tics nomirror out
set key outside right top vertical Left reverse samplen 3 spacing 1.15 width 1
set bmargin 5.5
