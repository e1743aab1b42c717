"""Prompts: texts spoken by a speaker, recorded files and tones, all made ready to be sent as G.711 at 8 kHz."""
