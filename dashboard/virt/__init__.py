"""The only code that imports libvirt; knows no Django."""
