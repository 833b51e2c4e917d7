"""Training conversations: one sample, a data set on disk, its checks, and other formats in and out."""
