"""HTTP: requests of plugins are checked and sent, under the egress policy of their store.

Framing and parsing are h11's, TLS is `ssl`'s. Neither urllib3 nor httpcore fits: they do not tell a response that came before the whole
request was sent from one that came after, go on sending to a service that has refused, and repeat requests by themselves.
"""
