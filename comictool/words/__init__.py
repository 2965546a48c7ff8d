"""Reading the words of comics (`data text`): engines, lines on a page, balloons, their order and kind."""
