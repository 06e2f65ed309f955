"""The same training recorded by this project and by others, each in the way that its documentation recommends."""
