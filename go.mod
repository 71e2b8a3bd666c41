module github.com/sse-go/sse

go 1.25.0
