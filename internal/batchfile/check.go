package batchfile

// Endpoint is the route that the requests of a file are for.
const Endpoint = "/v1/chat/completions"
