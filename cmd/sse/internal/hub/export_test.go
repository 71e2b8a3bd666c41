package hub

// Configure is what a test of time needs, which has a server of its own.
var Configure = configure
