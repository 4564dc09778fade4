"""The colours of every picture."""

# Okabe and Ito (2008), "Color Universal Design": distinguishable with every kind of colour vision.
BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY = "#CC79A7", "#56B4E9"
INK, GREY, LIGHT = "#222222", "#6B6B6B", "#E4E4E4"
