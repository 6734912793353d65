"""Kill -9, power cuts, full and failing disks against the real store."""
