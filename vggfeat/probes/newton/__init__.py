"""Linear SVMs of many classes at once by Newton's method."""
