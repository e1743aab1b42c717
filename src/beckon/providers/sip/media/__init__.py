"""The media process: RTP in, RTP out, prompts, keys, bridges, recordings. It knows sockets and bytes, and no calls.

``engine`` is the loop, ``leg`` one phone's audio, ``playing`` what is played to it, ``tracks`` where what was said is
placed by its time stamp, ``recorder`` how that comes to disk; ``g711``, ``rtp``, ``rtcp``, ``keys``, ``dtmf``,
``tones``, ``wav`` are pure. Only ``wire`` goes in and out: a worker in another language can take this process's place.
"""
