"""The screens of the app; they connect the widgets."""
