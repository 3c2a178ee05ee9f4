#!/usr/bin/env bash
# Makes this checkout runnable: system packages, a virtual environment, the project in it, bpffs.
# Does only what is missing and says what it does; when nothing is, it is silent and takes a few milliseconds.
#
#   scripts/setup.sh run     what `inkev` itself and the demo need
#   scripts/setup.sh dev     that, and what lint, tests and benchmarks need
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

level=${1:-dev}
# The distribution's Python: python3-bpfcc serves no other, and another may come first in PATH.
python=/usr/bin/python3
venv=.venv
os_release=${OS_RELEASE:-/etc/os-release}

packages=(
	clang           # C to bitcode, where a package is built
	libbpf1         # loads objects
	libbpf-dev      # bpf/bpf_helpers.h, for the sources of existing programs
	linux-libc-dev  # linux/*.h
	python3-venv
	python3-bpfcc   # the bcc dialect
	iproute2        # hosts in namespaces, for demo, tests and benchmarks; inkev itself does without
)
if [ "$level" = dev ]; then
	packages+=(
		clang-format    # make lint
		ethtool         # what the tests' hosts say of their interfaces
		nftables        # a yardstick of make bench
	)
fi

say() { printf 'setup: %s\n' "$*" >&2; }

as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

is_debian_like() {
	local ID="" ID_LIKE=""
	# shellcheck disable=SC1091
	[ -r "$os_release" ] && . "$os_release"
	case " $ID $ID_LIKE " in *" debian "* | *" ubuntu "*) return 0 ;; esac
	return 1
}

print_needs() {
	cat >&2 <<-NEEDS
		setup: this is neither Debian nor Ubuntu, so system packages are yours to install. Needed:
		  - Linux 6.1 or newer, with BTF (/sys/kernel/btf/vmlinux) and bpffs
		  - Python 3.11 or newer at $python, with its venv module
		  - clang 14 or newer, with the BPF target; ip; for development clang-format, ethtool and nft
		  - libbpf.so.1 (1.1 or newer) and its headers; the kernel's user-space headers (linux/bpf.h)
		  - optional: bcc's Python module from the distribution (not PyPI's bcc)
		On Debian these are: ${packages[*]}
		Once they are there: INKEV_SYSTEM_READY=1 scripts/setup.sh $level
	NEEDS
}

missing_packages() {
	local name
	for name in "${packages[@]}"; do
		case "$(dpkg-query --show --showformat '${db:Status-Status}' "$name" 2>/dev/null)" in
		installed) ;;
		*) printf '%s\n' "$name" ;;
		esac
	done
}

install_packages() {
	if [ "${INKEV_SYSTEM_READY:-}" = 1 ]; then return; fi
	if ! is_debian_like; then
		print_needs
		exit 1
	fi
	local missing
	mapfile -t missing < <(missing_packages)
	if [ "${#missing[@]}" = 0 ]; then return; fi
	say "installing system packages: ${missing[*]}"
	as_root apt-get update -qq
	as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

mount_bpffs() {
	if [ "$(stat --file-system --format %T /sys/fs/bpf 2>/dev/null)" = bpf_fs ]; then return; fi
	say "mounting bpffs at /sys/fs/bpf"
	as_root mount -t bpf bpf /sys/fs/bpf
}

# What the environment was made from: when any of it changes, it is brought up to date.
fingerprint() { { pwd; "$python" --version; cat pyproject.toml; } | sha256sum | cut -d' ' -f1; }

install_project() {
	local stamp="$venv/.inkev-$level" wanted extra="[check]"
	wanted=$(fingerprint)
	if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && [ -x "$venv/bin/inkev" ]; then return; fi
	if [ "$level" = dev ]; then extra="[dev]"; fi
	if ! "$venv/bin/python" -c 'import sys; sys.exit(sys.prefix != sys.argv[1])' "$PWD/$venv" 2>/dev/null; then
		say "making the virtual environment $venv (it sees the distribution's packages, bcc among them)"
		"$python" -m venv --clear --system-site-packages "$venv"
	fi
	say "installing inkev$extra and its dependencies into $venv"
	"$venv/bin/python" -m pip install -qq --disable-pip-version-check --editable ".$extra"
	printf '%s\n' "$wanted" >"$stamp"
	if [ "$level" = dev ]; then printf '%s\n' "$wanted" >"$venv/.inkev-run"; fi
}

case "$level" in
run | dev) ;;
*)
	echo "usage: scripts/setup.sh [run|dev]" >&2
	exit 2
	;;
esac
install_packages
mount_bpffs
install_project
