"""The parties outside, pretended: they speak the providers' real wire formats. Phones, systems, clock, scenarios."""
