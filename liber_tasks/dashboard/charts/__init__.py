"""Charts. Colours are Okabe and Ito's, distinct for colour-blind readers; every colour is also said in words."""
