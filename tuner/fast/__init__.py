"""The fast path: a decoder's forward and backward pass written out, for families it is proven on.

The same arithmetic as transformers and peft, with less of it and less memory: examples are packed
without padding, what they share is computed once, attention never crosses examples, the loss head
runs only where an answer is predicted, and little is kept between the two passes. It works on the
modules and weights of the loaded model itself, so that saving and answering know nothing of it.
"""

from __future__ import annotations
