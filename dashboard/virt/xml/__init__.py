"""libvirt XML: one hardened parser, typed views that edit in place, and the documents that kvmweb itself makes."""
