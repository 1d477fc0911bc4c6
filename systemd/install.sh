#!/bin/bash
# Installs VinylVault on Raspberry Pi OS or Debian as a service, and looks after it later: `install.sh --help`. Run it again at
# any time; what is there already stays, above all /etc/vinylvault.env and the data.
set -euo pipefail
umask 022

BASE=/opt/vinylvault
CURRENT=$BASE/current
COMPILE_TEMPLATES='from image_cache.wsgi import create_app; from image_cache.web.compiled_templates import compile_templates; compile_templates(create_app())'
STATE=/var/lib/vinylvault
CACHE=/var/cache/vinylvault
BACKUPS=/var/backups/vinylvault
SETTINGS=/etc/vinylvault.env
OPTIONS=$BASE/options
UNITS=/etc/systemd/system
NGINX_CONF=/etc/vinylvault-nginx.conf
COMMAND=/usr/local/bin/vinylvault
OWN_USER=vinylvault
NEEDED_MB=400
ENOUGH_MEMORY_MB=400 # a Pi with 512 MB shows 426 or more
HEALTH_S=${VINYLVAULT_HEALTH_S:-120}
TIMERS=(vinylvault-cleanup.timer vinylvault-backup.timer)
PARTS=(app.py config.py cache_monitor.py image_cache templates static docs systemd pyproject.toml LICENSE README.md CHANGELOG.md)
EXTRAS=(s3 nifti metrics heif barcode)

say() { printf '%s\n' "$*"; }
step() { printf '  %s\n' "$*"; }
refuse() {
  printf 'VinylVault: %s\n' "$*" >&2
  exit 1
}

usage() {
  cat <<'END'
Usage: install.sh [COMMAND] [OPTIONS]          afterwards: vinylvault COMMAND

  install             (the default) install, or repair an installation; safe to run again
      --with-nginx    put nginx in front, which serves covers without Python
      --port N        port of nginx (default: 80)
      --without-nginx remove nginx again
      --extra NAME    also install requirements-NAME.txt: s3, nifti, metrics, heif, barcode
      --wheelhouse D  install from the wheels in folder D, without internet
  update              build the new version, switch to it, roll back if it is not healthy
      --from PLACE    a folder or .tar.gz with another version
  backup [PLACE]      back up to a new file or a folder, or to a dated file in /var/backups/vinylvault
  restore FILE        restore a backup
  doctor              check the installation and the data, and suggest fixes
  uninstall           remove VinylVault, keep data and settings
      --purge         delete those and the backups too
      --yes           do not ask for confirmation
  --version           show the installed version
  status, health, report, monitor, explain, verify, probe, repair, selftest ...
  import, export, sync, discogs, scan, remove, take-along; users, streams, files, storage ...
                      the commands of docs/reference/commands.md, with the settings of the service
END
}

# --- what this server is

has_systemd() { [[ -d /run/systemd/system ]]; }
has_nginx_in_front() { [[ -e $UNITS/vinylvault.service.d/front.conf ]]; }
is_installed() { [[ -L $CURRENT && -d $CURRENT/ ]]; }
need_root() { [[ $(id -u) -eq 0 ]] || refuse "this needs root. Run: sudo $0 $*"; }
need_installed() { is_installed || refuse "VinylVault is not installed. Run systemd/install.sh from a checkout first."; }

check_system() {
  local id='' id_like='' architecture
  id=$(sed -n 's/^ID="\?\([a-z]*\)"\?$/\1/p' /etc/os-release 2>/dev/null || true)
  id_like=$(sed -n 's/^ID_LIKE="\?\([a-z ]*\)"\?$/\1/p' /etc/os-release 2>/dev/null || true)
  [[ " $id $id_like " == *" debian "* || $id == raspbian ]] ||
    refuse "${id:-this system} is not supported by the installer, only Raspberry Pi OS and Debian. On other systems, use 'make run'."
  # The architecture of the programs, not of the kernel: a 32-bit Raspberry Pi OS runs on a 64-bit kernel.
  architecture=$(dpkg --print-architecture)
  case $architecture in
    arm64 | amd64) ;;
    armhf | armel | i386) refuse "this system is 32-bit ($architecture). VinylVault needs a 64-bit system: install the 64-bit Raspberry Pi OS." ;;
    *) refuse "$architecture is not supported. VinylVault runs on arm64 and amd64." ;;
  esac
  command -v python3 >/dev/null || install_package python3 "Python 3.11 or newer is missing"
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    refuse "Python 3.11 or newer is needed, this is $(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])'). Debian 12, Raspberry Pi OS 2023-10 and newer include it."
  # `ensurepip` is what Debian leaves to the package.
  python3 -c 'import ensurepip, venv' 2>/dev/null || install_package python3-venv "Python's venv is missing"
}

check_space() {
  local place free_mb
  for place in /opt /var/lib /var/cache; do
    free_mb=$(($(df -Pk "$place" | awk 'NR == 2 {print $4}') / 1024))
    ((free_mb >= NEEDED_MB)) || refuse "not enough disk space in $place: $free_mb MB free, $NEEDED_MB MB needed. Free up space and try again."
  done
}

check_memory() {
  local memory_mb=$(($(awk '/^MemTotal/ {print $2}' /proc/meminfo) / 1024))
  ((memory_mb >= ENOUGH_MEMORY_MB)) ||
    say "This computer has $memory_mb MB of memory. VinylVault needs 512 MB or more; with less, it rejects large images."
}

install_package() { # NAME WHY
  command -v apt-get >/dev/null || refuse "$2: install the package $1."
  step "installing the package $1"
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$1" >/dev/null 2>&1 ||
    { apt-get update -qq >/dev/null 2>&1 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$1" >/dev/null 2>&1; } ||
    refuse "$2, and the package $1 could not be installed. Without internet, install it beforehand: apt-get install $1"
}

# --- releases: /opt/vinylvault/<version>-<hash>, each with its own environment

files_of() { # SOURCE: the names of all files of the program, each ended by a zero byte
  local part
  (
    cd "$1"
    for part in "${PARTS[@]}" requirements*.txt; do
      [[ ! -e $part ]] || find "$part" -type f ! -name '*.pyc' -print0
    done
  ) | LC_ALL=C sort -z
}

release_name() { # SOURCE
  local version hash
  version=$(sed -n 's/^version = "\([0-9a-z.]*\)"$/\1/p' "$1/pyproject.toml" | head -1)
  hash=$(files_of "$1" | (cd "$1" && xargs -0 sha256sum) | sha256sum)
  echo "${version:?pyproject.toml names no version}-${hash:0:8}"
}

build_release() { # SOURCE; leaves its name in $release
  local source=$1 folder extra bytecode vault
  release=$(release_name "$source")
  folder=$BASE/$release
  if [[ -e $folder/.complete ]] && [[ $(cat "$folder/.complete") == "${extras[*]:-}" ]]; then
    step "version $release is already built"
    return
  fi
  step "building version $release"
  rm -rf "$folder"
  mkdir -p "$folder"
  files_of "$source" | tar -c -C "$source" --null -T - --owner=0 --group=0 --mode='u=rwX,go=rX' | tar -x -C "$folder"
  chmod +x "$folder/systemd/install.sh"
  python3 -m venv "$folder/venv"
  install_requirements "$folder" requirements.txt
  for extra in "${extras[@]:-}"; do
    [[ -z $extra ]] || install_requirements "$folder" "requirements-$extra.txt"
  done
  # Neither the commands nor the service use pip.
  "$folder/venv/bin/python" -m compileall -q -x "/site-packages/(pip|setuptools|pkg_resources)/" "$folder" >/dev/null || true
  # The service runs without docstrings, and may not write here. Debian compiled its Python for programs that keep them: what a
  # start loads of it is compiled into a folder of our own, where Python then looks for everything.
  bytecode=$folder/bytecode
  "$folder/venv/bin/python" -OO -X "pycache_prefix=$bytecode" -m compileall -q -x "/site-packages/(pip|setuptools|pkg_resources)/" "$folder" >/dev/null || true
  # As the service would begin: what cannot be imported never takes the place of what runs.
  (cd "$folder" && env -i PATH=/usr/bin:/bin venv/bin/python -OO -X "pycache_prefix=$bytecode" -c 'import app, concurrent.futures.thread, gunicorn.app.wsgiapp, gunicorn.glogging') ||
    { rm -rf "$folder"; refuse "version $release cannot run on this computer. Nothing was changed."; }
  vault=$(mktemp -d) # pages are compiled too, by an application whose vault is gone afterwards; without that they only come later
  (cd "$folder" && env -i PATH=/usr/bin:/bin VINYL_VAULT_DATA_DIR="$vault" venv/bin/python -OO -X "pycache_prefix=$bytecode" -c "$COMPILE_TEMPLATES") >/dev/null 2>&1 || true
  rm -rf "$vault"
  ln -s "$release" "$bytecode$CURRENT" # the service knows this version by that name
  echo "${extras[*]:-}" >"$folder/.complete"
}

install_requirements() { # FOLDER FILE
  local log from=()
  log=$(mktemp)
  if [[ -n $wheelhouse ]]; then
    from=(--isolated --no-index --find-links "$wheelhouse")
  fi
  if ! "$1/venv/bin/python" -m pip --quiet --disable-pip-version-check install "${from[@]}" --only-binary :all: --require-hashes -r "$1/$2" >"$log" 2>&1; then
    tail -5 "$log" >&2
    rm -rf "$log" "$1"
    refuse "the dependencies in $2 could not be installed. Without internet, build a wheelhouse on another machine (make wheelhouse) and pass --wheelhouse FOLDER. Nothing was changed."
  fi
  rm -f "$log"
}

switch_to() { # NAME
  ln -sfn "$1" "$BASE/.current"
  mv -T "$BASE/.current" "$CURRENT"
}

forget_releases() { # keep these
  local folder keep
  for folder in "$BASE"/*/; do
    [[ ! -L ${folder%/} && -f $folder/pyproject.toml ]] || continue
    for keep in "$@"; do
      [[ $(basename "$folder") == "$keep" ]] && continue 2
    done
    rm -rf "$folder"
  done
}

# --- options that outlast a run

read_options() {
  extras=() port=80 origin=''
  local name value
  [[ -r $OPTIONS ]] || return 0
  while IFS='=' read -r name value; do
    case $name in
      extras) read -ra extras <<<"$value" ;;
      port) port=$value ;;
      source) origin=$value ;;
    esac
  done <"$OPTIONS"
}

write_options() { printf 'extras=%s\nport=%s\nsource=%s\n' "${extras[*]:-}" "$port" "$origin" >"$OPTIONS"; }

# --- the service

setting_of() { # NAME: what the settings file says, as systemd reads it; nothing when it is silent
  [[ -r $SETTINGS ]] || return 0
  sed -n "s/^[[:space:]]*$1=//p" "$SETTINGS" | tail -1 | sed -e 's/[[:space:]]*$//' -e "s/^'\(.*\)'\$/\1/" -e 's/^"\(.*\)"$/\1/'
}

as_service() { # run a command as the service runs: its user, its settings, its folder
  words_of_service
  (
    umask 077
    cd "$CURRENT/"
    exec "${words[@]}" "$@"
  )
}

words_of_service() { # leaves in $words what comes before such a command
  local name
  words=(setpriv "--reuid=$OWN_USER" "--regid=$OWN_USER" --init-groups --no-new-privs)
  words+=(env -i PATH=/usr/bin:/bin LANG=C.UTF-8 "TERM=${TERM:-dumb}" PYTHONDONTWRITEBYTECODE=1)
  words+=("SUDO_USER=${SUDO_USER:-root}") # who typed it, for the log of actions
  words+=("VINYL_VAULT_DATA_DIR=$STATE" "VINYL_VAULT_CACHE_DIR=$CACHE")
  if has_nginx_in_front; then
    words+=(HOST=127.0.0.1 VINYL_VAULT_TRUSTED_PROXIES=1 VINYL_VAULT_FRONT_DIR=/run/vinylvault)
  fi
  while IFS= read -r name; do
    words+=("$name=$(setting_of "$name")")
  done < <([[ ! -r $SETTINGS ]] || sed -n 's/^[[:space:]]*\([A-Za-z_][A-Za-z0-9_]*\)=.*/\1/p' "$SETTINGS")
}

place_units() {
  local files=$CURRENT/systemd unit
  install -d "$UNITS" /etc/sysusers.d /etc/tmpfiles.d /etc/vinylvault-nginx.d
  install -m 644 "$files/sysusers.conf" /etc/sysusers.d/vinylvault.conf
  install -m 644 "$files/tmpfiles.conf" /etc/tmpfiles.d/vinylvault.conf
  make_user
  for unit in vinylvault.service vinylvault-cleanup.service vinylvault-backup.service "${TIMERS[@]}"; do
    install -m 644 "$files/$unit" "$UNITS/$unit"
  done
  if [[ $front == yes ]]; then
    install -m 644 "$files/vinylvault-nginx.service" "$files/run-vinylvault.mount" "$UNITS/"
    install -d "$UNITS/vinylvault.service.d"
    install -m 644 "$files/front.conf" "$UNITS/vinylvault.service.d/front.conf"
    write_nginx_conf
  fi
  ln -sfn "$CURRENT/systemd/install.sh" $COMMAND
  if has_systemd; then systemctl daemon-reload; fi
}

make_user() {
  if command -v systemd-sysusers >/dev/null; then
    systemd-sysusers /etc/sysusers.d/vinylvault.conf
    systemd-tmpfiles --create /etc/tmpfiles.d/vinylvault.conf
  else
    id $OWN_USER >/dev/null 2>&1 || useradd --system --home-dir $STATE --no-create-home --shell /usr/sbin/nologin $OWN_USER
    install -d -m 700 -o $OWN_USER -g $OWN_USER $STATE $STATE/state $STATE/state/stream_images $CACHE $BACKUPS
  fi
  if [[ ! -e $SETTINGS ]]; then
    install -m 640 -g $OWN_USER "$CURRENT/systemd/vinylvault.env" $SETTINGS
    step "settings: $SETTINGS"
  fi
}

write_nginx_conf() {
  local v6='s/^//'
  [[ -e /proc/net/if_inet6 ]] || v6='/listen \[::\]/d' # without IPv6 nginx would not start
  sed -e "s/:80 default_server/:$port default_server/" -e "s/listen 80 /listen $port /" -e "$v6" \
    -e "s/server 127.0.0.1:5000;/server 127.0.0.1:$(service_port);/" "$CURRENT/systemd/nginx.conf" >$NGINX_CONF
}

service_port() {
  local found
  found=$(setting_of PORT)
  echo "${found:-5000}"
}

check_port() { # of nginx: taken by another program?
  has_systemd && systemctl is-active -q vinylvault-nginx.service && return
  python3 - "$port" <<'END' || refuse "port $port is in use by another program. Choose another, for example --port 8080."
import socket, sys
with socket.socket() as probe:
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        probe.bind(("", int(sys.argv[1])))
    except OSError:
        sys.exit(1)
END
}

install_nginx() {
  [[ -x /usr/sbin/nginx ]] && return
  # Only the program is wanted: nothing of Debian's own may begin to listen on port 80.
  local mask=$UNITS/nginx.service
  [[ -e $mask || -L $mask ]] || { ln -s /dev/null "$mask" && masked=yes; }
  install_package nginx-light "nginx is missing"
  if [[ ${masked:-} == yes ]]; then
    rm -f "$mask" /etc/systemd/system/multi-user.target.wants/nginx.service
  fi
}

remove_nginx() {
  if has_systemd; then
    systemctl disable -q --now vinylvault-nginx.service run-vinylvault.mount 2>/dev/null || true
  fi
  rm -rf "$UNITS/vinylvault-nginx.service" "$UNITS/run-vinylvault.mount" "$UNITS/vinylvault.service.d/front.conf" $NGINX_CONF
  rmdir "$UNITS/vinylvault.service.d" 2>/dev/null || true
}

start() { # restart what is installed; false if it does not respond
  local units=(vinylvault.service)
  if ! has_systemd; then
    try_in_foreground "$@"
    return
  fi
  if [[ $front == yes ]]; then
    systemctl enable -q run-vinylvault.mount vinylvault-nginx.service
    systemctl start run-vinylvault.mount
    units+=(vinylvault-nginx.service)
  fi
  systemctl enable -q vinylvault.service "${TIMERS[@]}"
  systemctl reset-failed "${units[@]}" 2>/dev/null || true
  systemctl restart "${units[@]}" || return 1
  systemctl start "${TIMERS[@]}"
  healthy "$@"
}

healthy() { as_service venv/bin/python systemd/health.py --wait "$HEALTH_S" "$@"; }

stop() {
  if has_systemd; then systemctl stop vinylvault.service; fi
}

try_in_foreground() { # no service manager: start it by hand, ask how it is, stop it
  local status=0 log pid
  log=$(mktemp)
  words_of_service
  (
    umask 077
    cd "$CURRENT/"
    exec "${words[@]}" venv/bin/python -OO -X pycache_prefix=$CURRENT/bytecode -m gunicorn -c systemd/gunicorn.conf.py 'app:create_app()'
  ) >"$log" 2>&1 &
  pid=$!
  healthy "$@" || status=1
  kill -TERM $pid 2>/dev/null || true
  wait $pid 2>/dev/null || true
  ((status == 0)) || tail -5 "$log" >&2
  rm -f "$log"
  return $status
}

say_what_is_missing() {
  has_systemd && return
  say "systemd is not running, so the service was not started and will not start at boot. It was started"
  say "once for a health check and stopped again. Run the same command on a system with systemd to finish the installation."
}

say_addresses() {
  local address suffix="" name
  name=$(hostname)
  if [[ $front == yes ]]; then
    [[ $port == 80 ]] || suffix=:$port
  else
    suffix=:$(service_port)
  fi
  say
  say "  http://$name.local$suffix/"
  for address in $(hostname -I 2>/dev/null || true); do
    [[ $address == *:* ]] && address="[$address]"
    say "  http://$address$suffix/"
  done
  if has_systemd && command -v journalctl >/dev/null; then # of this start: after a restore there may be an account
    local invocation
    invocation=$(systemctl show vinylvault.service -p InvocationID --value)
    journalctl "_SYSTEMD_INVOCATION_ID=$invocation" -o cat 2>/dev/null | grep -F 'with this setup code:' | tail -1 || true
  fi
}

say_journal() {
  if has_systemd; then
    journalctl -u vinylvault.service -o cat -n 8 --no-pager 2>/dev/null | sed 's/^/    /' >&2 || true
  fi
}

# --- commands

do_install() {
  check_system
  check_space
  check_memory
  read_options
  local wants_front=$wanted_front
  [[ -z $wanted_port ]] || port=$wanted_port
  local extra
  for extra in "${wanted_extras[@]:-}"; do # those of earlier runs stay
    [[ -z $extra || " ${extras[*]:-} " == *" $extra "* ]] || extras+=("$extra")
  done
  [[ $SOURCE == "$BASE"/* ]] || origin=$SOURCE
  front=no
  if [[ $wants_front == yes ]] || { [[ -z $wants_front ]] && has_nginx_in_front; }; then front=yes; fi
  say "Installing VinylVault."
  if [[ $front == yes ]]; then
    [[ $wants_front != yes ]] || check_port
    install_nginx
  fi
  mkdir -p $BASE
  build_release "$SOURCE"
  [[ $wants_front != no ]] || remove_nginx
  switch_to "$release"
  place_units
  write_options
  step "starting"
  start || {
    say_journal
    refuse "VinylVault is installed but not responding. To find out why: sudo vinylvault doctor"
  }
  forget_releases "$release" "$(cat $BASE/.previous 2>/dev/null || true)"
  say_what_is_missing
  say_addresses
}

do_update() {
  need_installed
  read_options
  local source=$SOURCE folder
  if [[ -n $update_from ]]; then
    source=$update_from
  elif [[ $SOURCE == "$BASE"/* ]]; then # the installed command: where it once came from
    [[ -n $origin && -d $origin ]] || refuse "the folder VinylVault was installed from no longer exists. Run: vinylvault update --from FOLDER"
    source=$origin
    if [[ -d $source/.git ]]; then
      runuser -u "$(stat -c %U "$source")" -- git -C "$source" pull --quiet --ff-only ||
        refuse "'git pull' failed in $source. Nothing was changed. If files were changed there: git -C $source stash. To start afresh, clone it again, then: vinylvault update --from FOLDER"
    fi
  fi
  if [[ -f $source ]]; then
    folder=$(mktemp -d)
    # shellcheck disable=SC2064  # the folder of now
    trap "rm -rf '$folder'" EXIT
    tar -xzf "$source" -C "$folder" || refuse "$source is not a tar archive."
    source=$(dirname "$(find "$folder" -maxdepth 2 -name pyproject.toml | head -1)")
  fi
  [[ -f $source/systemd/install.sh && -f $source/pyproject.toml ]] || refuse "$source does not contain VinylVault."
  [[ -n $wheelhouse || ! -d $source/wheelhouse ]] || wheelhouse=$source/wheelhouse
  check_system
  check_space
  [[ -n $update_from ]] || origin=$source
  front=no
  if has_nginx_in_front; then front=yes; fi
  change_over "$source"
}

change_over() { # SOURCE
  local before demand=(--strict) copy=$STATE/before-update
  before=$(basename "$(readlink "$CURRENT")")
  say "Updating VinylVault."
  build_release "$1"
  if [[ $release == "$before" ]]; then
    say "Version $release is installed already."
    return
  fi
  # A vault that was unhealthy before is not made worse by an update; one that was well must be well afterwards.
  if has_systemd && ! HEALTH_S=0 healthy --strict >/dev/null 2>&1; then demand=(); fi
  step "stopping version $before"
  stop
  keep_catalogue "$copy"
  switch_to "$release"
  place_units
  step "starting version $release"
  if start "${demand[@]}" 2>&1 | sed 's/^/  /'; then
    echo "$before" >$BASE/.previous
    forget_releases "$release" "$before"
    write_options
    say "Version $release is running. The previous version, $before, is kept."
    say_what_is_missing
    return
  fi
  say_journal
  say "Version $release failed its health check. Rolling back to version $before."
  stop || true
  switch_to "$before"
  put_catalogue_back "$copy"
  place_units
  start || refuse "version $before is not responding either. Run 'sudo vinylvault doctor'. The catalogue from before the update is in $copy."
  rm -rf "${BASE:?}/$release"
  refuse "the update was rolled back. Version $before is running."
}

keep_catalogue() { # FOLDER: a copy, while nothing runs
  rm -rf "$1"
  install -d -m 700 -o $OWN_USER -g $OWN_USER "$1"
  local file
  for file in "$STATE"/state/catalog.db "$STATE"/state/catalog.db-wal; do
    [[ ! -e $file ]] || cp -p "$file" "$1/"
  done
}

put_catalogue_back() { # FOLDER: only when the new version has changed the schema, which the old one refuses
  [[ -e $1/catalog.db ]] || return 0
  if [[ $(schema_of "$1/catalog.db") != $(schema_of $STATE/state/catalog.db) ]]; then
    step "restoring the catalogue from before the update"
    rm -f $STATE/state/catalog.db $STATE/state/catalog.db-wal $STATE/state/catalog.db-shm
    cp -p "$1"/catalog.db* $STATE/state/
  fi
}

schema_of() {
  "$CURRENT/venv/bin/python" -c 'import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute("PRAGMA user_version").fetchone()[0])' "$1" 2>/dev/null || echo unknown
}

monitor() { # ACTION ...: cache_monitor.py with the settings of the service
  need_installed
  [[ -e $CURRENT/cache_monitor.py ]] || refuse "this version has no cache_monitor.py."
  words_of_service
  # The doctor gives back what belongs to someone else before it becomes the user of the service; the others need not.
  [[ $1 != doctor ]] || words=("${words[@]:5}")
  (
    umask 077
    cd "$CURRENT/"
    exec "${words[@]}" venv/bin/python cache_monitor.py --action "$@"
  )
}

sort_words() { # of a backup or restore; leaves the place in $file and the others in $options
  local word before=''
  file='' options=()
  for word in "$@"; do
    word=${word#--file=}
    if [[ $word != --* && $before != --keep && -z $file ]]; then
      file=$word
    elif [[ $word != --file ]]; then
      options+=("$word")
    fi
    before=$word
  done
}

do_backup() { # [FILE or FOLDER] [OPTIONS], in any order
  local folder part status=0
  sort_words "$@"
  if [[ -z $file ]]; then
    monitor backup --file $BACKUPS/ --keep 7 ${options[@]+"${options[@]}"}
    return
  fi
  [[ ! -d $file ]] || file=${file%/}/vinylvault-$(date +%Y%m%d-%H%M%S).tar
  folder=$(dirname "$file")
  [[ -d $folder ]] || refuse "the folder $folder does not exist. Create it or connect its disk, then try again."
  [[ ! -e $file ]] || refuse "$file exists already. Choose another name, or name the folder: the file then gets the date as its name."
  part=$BACKUPS/.part-$$.tar
  # shellcheck disable=SC2064  # the file of now
  trap "rm -f '$part'" EXIT
  as_service venv/bin/python -m image_cache.cli backup --named "$file" "$part" ${options[@]+"${options[@]}"} || status=$?
  [[ -e $part ]] || return "$status"
  # The service may not write where you are; you may.
  hand_over "$part" "$file"
  return "$status"
}

hand_over() { # PART FILE: to the person who asked for it. FAT and exFAT, as most USB sticks have, know no owners
  if ! (umask 077 && cp "$1" "$2.part"); then
    rm -f "$2.part"
    refuse "cannot write $2. Check the free space, and that the disk is not read-only."
  fi
  chown "${SUDO_UID:-0}:${SUDO_GID:-0}" "$2.part" 2>/dev/null || true
  mv -f "$2.part" "$2"
}

do_write() { # COMMAND [FILE]: export or take-along
  local command=$1 file=${2:-} part said
  if [[ $# -ne 2 || $file == -* ]]; then
    as_service venv/bin/python -m image_cache.cli "$@"
    return
  fi
  part=$BACKUPS/.part-$$.${file##*[./]}
  # shellcheck disable=SC2064  # the file of now
  trap "rm -f '$part'" EXIT
  said=$(as_service venv/bin/python -m image_cache.cli "$command" "$part")
  hand_over "$part" "$file"
  say "${said//"$part"/$file}"
}

do_import() { # COMMAND... [FILE] [OPTIONS]: a file that only you may read is copied for the service, its report for you
  local word part='' words_given=() report='' report_part='' is_report=no status=0
  for word in "$@"; do
    if [[ $is_report == yes || $word == --report=* ]]; then
      is_report=no report=${word#--report=}
      [[ -n $report && -d $(dirname "$report") ]] || refuse "the folder of the report does not exist: $report"
      report_part=$BACKUPS/.report-$$.csv
      # shellcheck disable=SC2064  # the files of now
      trap "rm -f '$part' '$report_part'" EXIT
      [[ $word != --report=* ]] || words_given+=(--report)
      words_given+=("$report_part")
      continue
    fi
    [[ $word != --report ]] || is_report=yes
    [[ ! -f $word ]] || word=$(realpath "$word") # the service runs in another folder
    if [[ -f $word ]] && ! as_service test -r "$word"; then
      part=$BACKUPS/.import-$$-$(basename "$word")
      # shellcheck disable=SC2064  # the file of now
      trap "rm -f '$part' '$report_part'" EXIT
      install -m 600 -o $OWN_USER -g $OWN_USER "$word" "$part"
      word=$part
    fi
    words_given+=("$word")
  done
  local program=(venv/bin/python -m image_cache.cli)
  [[ $1 != albums ]] || program=(venv/bin/python -m flask --app app)
  if [[ -z $report ]]; then
    as_service "${program[@]}" "${words_given[@]}"
    return
  fi
  as_service "${program[@]}" "${words_given[@]}" > >(sed -u "s|$report_part|$report|") || status=$?
  [[ ! -e $report_part ]] || hand_over "$report_part" "$report"
  return "$status"
}

do_restore() { # FILE [OPTIONS], in any order
  local part status=0
  sort_words "$@"
  [[ -n $file ]] || refuse "name the backup file: vinylvault restore FILE"
  [[ -f $file && -r $file ]] || refuse "$file does not exist."
  read_options
  front=no
  if has_nginx_in_front; then front=yes; fi
  part=$BACKUPS/.restore-$$.tar
  # shellcheck disable=SC2064  # the file of now
  trap "rm -f '$part'" EXIT
  install -m 600 -o $OWN_USER -g $OWN_USER "$file" "$part"
  stop
  as_service venv/bin/python -m image_cache.cli restore --starts "$part" ${options[@]+"${options[@]}"} || status=$?
  if has_systemd; then start; fi
  return $status
}

settings_are_valid() { as_service venv/bin/python -c 'from image_cache.config import load_settings; load_settings()' 2>/dev/null; }

do_doctor() {
  local status=0 unit place owner may_write
  need_installed
  say "Version $(basename "$(readlink "$CURRENT")") in $BASE, Python $("$CURRENT/venv/bin/python" -c 'import platform; print(platform.python_version())')."
  if [[ -e $CURRENT/cache_monitor.py ]]; then # repair what can be repaired, then check the rest
    monitor doctor "$@" || status=$?
  fi
  if has_systemd; then
    for unit in vinylvault.service "${TIMERS[@]}" $(has_nginx_in_front && echo vinylvault-nginx.service run-vinylvault.mount); do
      if ! systemctl is-active -q "$unit"; then
        if [[ $unit == vinylvault.service ]] && ! settings_are_valid; then
          say "$unit is not running. Correct the setting in $SETTINGS, then: sudo systemctl restart vinylvault"
        else
          say "$unit is not running. To see why: sudo journalctl -u $unit -n 50. To fix it: sudo vinylvault install"
        fi
        status=2
      elif ! systemctl is-enabled -q "$unit" 2>/dev/null; then
        say "$unit does not start at boot. To enable it: sudo systemctl enable $unit"
        ((status)) || status=1
      fi
    done
    if systemctl show vinylvault.service -p NeedDaemonReload --value | grep -q yes; then
      say "A unit file has changed. Reload it: sudo systemctl daemon-reload"
      ((status)) || status=1
    fi
  else
    say "systemd is not running, so nothing supervises the service."
  fi
  may_write=$(systemctl show vinylvault.service -p ReadWritePaths -p StateDirectory -p CacheDirectory 2>/dev/null || true)
  while IFS= read -r place; do
    [[ $place == "$STATE"* || $place == "$CACHE"* || $may_write == *"$place"* ]] && continue
    say "The service may not write to $place: its unit needs ReadWritePaths=$place. docs/how-to/usb-disk.md has the commands."
    status=2
  done < <(! has_systemd || sed -n 's/^[[:space:]]*VINYL_VAULT_[A-Z]*_DIR=//p' "$SETTINGS" 2>/dev/null)
  for place in $STATE $CACHE; do
    owner=$(stat -c '%U %a' "$place" 2>/dev/null || echo nobody)
    if [[ $owner != "$OWN_USER 700" ]]; then
      say "$place belongs to $owner instead of $OWN_USER only. To fix it: sudo vinylvault install"
      status=2
    fi
  done
  if [[ -n $(find $STATE $CACHE -xdev ! -user $OWN_USER -print -quit 2>/dev/null) ]]; then
    say "Some files in $STATE or $CACHE belong to another user. To fix it: sudo chown -R $OWN_USER: $STATE $CACHE"
    status=2
  fi
  if [[ -r /proc/cgroups ]] && ! grep -qw memory /sys/fs/cgroup/cgroup.controllers 2>/dev/null && grep -q Raspberry /proc/device-tree/model 2>/dev/null; then
    say "The memory limit is not enforced: add cgroup_enable=memory to /boot/firmware/cmdline.txt."
    ((status)) || status=1
  fi
  ! settings_are_valid || HEALTH_S=0 healthy --strict || status=2
  return $status
}

do_uninstall() {
  read_options
  if [[ $purge == yes && $yes != yes ]]; then
    [[ -t 0 ]] || refuse "--purge deletes all records, original images, settings, and the backups in $BACKUPS. Add --yes to confirm."
    read -rp "Delete all records, original images, settings, and the backups in $BACKUPS? Type 'remove': " answer
    [[ $answer == remove ]] || refuse "nothing was removed."
  fi
  if has_systemd; then
    systemctl disable -q --now "${TIMERS[@]}" vinylvault.service 2>/dev/null || true
  fi
  remove_nginx
  rm -f "$UNITS"/vinylvault.service "$UNITS"/vinylvault-{cleanup,backup}.{service,timer} /etc/sysusers.d/vinylvault.conf /etc/tmpfiles.d/vinylvault.conf $COMMAND
  if has_systemd; then systemctl daemon-reload; fi
  local elsewhere
  elsewhere=$(sed -n 's/^[[:space:]]*VINYL_VAULT_[A-Z]*_DIR=//p' "$SETTINGS" 2>/dev/null | paste -sd ' ' || true)
  rm -rf $BASE
  if [[ $purge == yes ]]; then
    rm -rf $STATE $CACHE $BACKUPS $SETTINGS /etc/vinylvault-nginx.d "$UNITS"/vinylvault{,-cleanup,-backup}.service.d
    userdel $OWN_USER 2>/dev/null || true
    groupdel $OWN_USER 2>/dev/null || true
    say "VinylVault and all its data and backups have been removed."
    [[ -z $elsewhere ]] || say "These folders of the settings were left: $elsewhere"
  else
    rmdir /etc/vinylvault-nginx.d 2>/dev/null || true
    say "VinylVault has been removed. Your data was kept: $SETTINGS, $STATE, $CACHE, $BACKUPS."
    say "A new installation uses it again. To delete it: sudo ${origin:-FOLDER}/systemd/install.sh uninstall --purge"
  fi
}

# --- the command line

main() {
  local command=install
  SOURCE=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd -P)
  wheelhouse='' wanted_front='' wanted_port='' wanted_extras=() update_from='' purge=no yes=no
  if [[ ${1:-} != -* && -n ${1:-} ]]; then
    command=$1
    shift
  elif [[ $(basename "$0") == vinylvault && -z ${1:-} ]]; then
    command=help
  elif [[ ${1:-} == --version ]]; then
    command=version
  fi
  case $command in
    install | update | uninstall) ;;
    help) usage && return ;;
    version)
      need_installed
      say "VinylVault, version $(basename "$(readlink "$CURRENT")")"
      return
      ;;
    backup | restore | doctor)
      need_root "$command" "$@"
      need_installed
      "do_$command" "$@"
      return
      ;;
    repair)
      need_root "$command" "$@"
      need_installed
      do_doctor "$@"
      return
      ;;
    export | take-along)
      need_root "$command" "$@"
      need_installed
      do_write "$command" "$@"
      return
      ;;
    import)
      need_root "$command" "$@"
      need_installed
      do_import import "$@"
      return
      ;;
    status | health | cleanup | report | monitor | explain | verify | preload | clear | probe | selftest | sync | discogs | scan | remove | alerts | log | reset-counters | users | streams | files | storage | migrate | move)
      need_root "$command" "$@"
      need_installed
      as_service venv/bin/python -m image_cache.cli "$command" "$@"
      return
      ;;
    albums)
      need_root "$command" "$@"
      need_installed
      if [[ ${1:-} == import ]]; then
        shift
        do_import albums import "$@"
        return
      fi
      as_service venv/bin/python -m flask --app app "$command" "$@"
      return
      ;;
    *)
      usage >&2
      refuse "unknown command: $command."
      ;;
  esac
  while (($#)); do
    case $1 in
      --with-nginx) wanted_front=yes ;;
      --without-nginx) wanted_front=no ;;
      --port) wanted_port=${2:-} && shift ;;
      --extra) wanted_extras+=("${2:-}") && shift ;;
      --wheelhouse) wheelhouse=${2:-} && shift ;;
      --from) update_from=${2:-} && shift ;;
      --purge) purge=yes ;;
      --yes) yes=yes ;;
      -h | --help) usage && return ;;
      *) usage >&2 && refuse "unknown option: $1." ;;
    esac
    shift || refuse "the last option needs a value."
  done
  local extra
  for extra in "${wanted_extras[@]:-}"; do
    [[ -z $extra || " ${EXTRAS[*]} " == *" $extra "* ]] || refuse "unknown extra: $extra. Available: ${EXTRAS[*]}."
  done
  [[ -z $wanted_port || ($wanted_port =~ ^[0-9]{1,5}$ && $wanted_port -ge 1 && $wanted_port -le 65535) ]] || refuse "$wanted_port is not a valid port."
  if [[ -n $wheelhouse ]]; then
    [[ -d $wheelhouse ]] || refuse "the folder $wheelhouse does not exist."
    wheelhouse=$(cd "$wheelhouse" && pwd -P)
  elif [[ -d $SOURCE/wheelhouse ]]; then
    wheelhouse=$SOURCE/wheelhouse
  fi
  [[ -z $update_from || -e $update_from ]] || refuse "$update_from does not exist."
  [[ -z $update_from || ! -d $update_from ]] || update_from=$(cd "$update_from" && pwd -P)
  need_root "$command"
  "do_$command"
}

main "$@"
