"""Panel detection without weights: gutters, frames and a verdict on the page as a whole."""
