#!/bin/sh
# Some tests make machines and disks of their own, or train with DeepSpeed, which builds a small part of itself.
# Take the tools that are there, or Debian's packages. What cannot be had is skipped by the tests, with the reason.
#   sh tests/machine.sh PYTHON
set -eu
PATH="$PATH:/usr/sbin:/sbin"
wanted=""
command -v ip >/dev/null 2>&1 || wanted="$wanted iproute2"
command -v mkfs.ext4 >/dev/null 2>&1 || wanted="$wanted e2fsprogs"
command -v c++ >/dev/null 2>&1 || wanted="$wanted g++"
"$1" -c 'import pathlib, sys, sysconfig; sys.exit(not pathlib.Path(sysconfig.get_path("include"), "Python.h").exists())' ||
    wanted="$wanted python3-dev"
if [ -z "$wanted" ]; then exit 0; fi
echo "Installing$wanted for the tests ..."
as_root=""
if [ "$(id -u)" -ne 0 ]; then as_root="sudo"; fi
$as_root apt-get update -qq
DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends $wanted
