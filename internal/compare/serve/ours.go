package main

// ours are our own servers, by name. This file is the only one to know them: the
// coordinator lists what is here, measures it with everybody else, and shows its
// ratios to all.
//
// A Broker, in both ways to wait, is this:
//
//	var ours = map[string]func([]string) (*subject, error){
//		"ours-held":   func() (*subject, error) { return newOurs(&sse.Broker{}) },
//		"ours-parked": func([]string) (*subject, error) { return newOurs(&sse.Broker{Park: true}) },
//	}
//
//	func newOurs(broker *sse.Broker) (*subject, error) {
//		return &subject{
//			handler: broker,
//			publish: func(topic, data string) error {
//				_, err := broker.Publish(context.Background(), sse.Event{Data: data}, topic)
//				return err
//			},
//			path:    "/?topic={topic}",
//			pattern: "/?pattern={topic}",
//			body:    true,
//			version: "this tree",
//		}, nil
//	}
//
// In the path of a pattern {topic} becomes "t/*". configure has the http.Server,
// for what it needs of it, such as a ConnContext.
var ours = map[string]func([]string) (*subject, error){}
