// Package peer is how one process of the product asks another: a [Client] carries a request to the service that owns its path.
//
// It is an http.RoundTripper, so that who composes answers need not know whether the services stand in the same process or on other servers. A
// service may have several addresses. Each is asked now and then whether it is ready (/readyz), and watched by what becomes of requests; the one of two random
// ready ones that has less to do gets the next request.
//
// What is repeated: a request that changes nothing twice (GET, HEAD, OPTIONS, PUT, DELETE, or any with an Idempotency-Key), after a failed connection or
// the statuses 502, 503 and 504; and any request whose connection could not be made, since then nobody has seen it. At most three attempts are made, within the request's
// deadline, and in all no more than a fifth of the requests are repeated (a budget), so that repetitions do not bring down what is slow. A body is kept for
// repeating up to 1 MiB; a larger one is sent once.
//
// An address that fails five times in a row is left alone for a second, then twice as long each time, up to 30: a breaker. Then one request tries it.
//
// What survives the hop: the credentials, unchanged (no service trusts another's word for who calls); X-Request-Id; traceparent; and the deadline, as
// X-Request-Timeout-Ms. [Fault] reads a failure's answer back into the kind of failure that it was.
package peer
