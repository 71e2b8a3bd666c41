module github.com/sse-go/sse

go 1.26.0
