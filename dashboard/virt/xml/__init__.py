"""Typed views onto libvirt XML, edited in place so that nothing unknown is lost."""
