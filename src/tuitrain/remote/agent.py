"""What runs on the other machine: a loop of a POSIX shell that answers requests on its standard input.

Names and paths come to it as lines of data, never as code. A request is a line with a letter and numbers, then a line
with a name; answers come in the order of the requests:

    c     PATH    change to this directory, or to that of this file: `c d`, `c f`, or `c -` where there is none
    l             files below the directory, or in that of a file: `l CODING`, then lines
                  `INODE SIZE MTIME ./NAME`, then a line with a dot
    g O N NAME    at most N bytes from byte O on, of the last -O bytes for O < 0:
                  `g INODE SIZE MTIME O COUNT CODING`, then COUNT bytes, with CODING z as a gzip stream, s of zstd
    p P S NAME    whether the processes P and S are there, 0 for none, and whether a lock is held on this file:
                  `p HOST LIVES STARTED LIVES STARTED HELD`, 1, 0 or - for unknown, STARTED in Unix seconds or 0
    q I F NAME    the job I of Slurm, of whoever owns this file: `q -` where Slurm does not answer or the job is not to
                  be seen, `q ` where it is no longer there, else `q ID|STATE|START|REASON`, START in Unix seconds;
                  F is 1 for a new question, 0 where the answer to the one before counts
    r TEXT NAME   make this file with this text, and its directory where that is missing: `r 0`, or `r 1` where it
                  cannot be
"""

from __future__ import annotations

import re

GREETING = b"tuitrain remote 1"

BOOTSTRAP = "exec sh -c 'IFS= read -r s; eval \"$s\"'"
"""The command for `ssh`, which is the same in every login shell; the first line of its input is the program."""

_JOB = re.compile(r"[0-9]{1,18}(_[0-9]{1,18})?")

SKIPPED = (".git", "__pycache__", "node_modules", ".venv", "venv", "site-packages", ".cache", ".hypothesis")

_SCRIPT = r"""
set -f; LC_ALL=C; export LC_ALL; unset CDPATH SQUEUE_PARTITION SQUEUE_ACCOUNT SQUEUE_QOS SQUEUE_NAMES;
nl=$(printf '\nx'); nl=${nl%x}; z=r; a=; how=none; kind=-;
pick() {
  big=$z; if [ ZSTD = 1 ] && (echo | zstd -qc) >/dev/null 2>&1; then big=s; if [ $z = r ]; then z=s; fi; fi;
};
big=; if (echo | gzip -c) >/dev/null 2>&1; then z=z; else pick; fi;
if stat -L -c %s -- . >/dev/null 2>&1; then how=gnu;
elif stat -L -f %z -- . >/dev/null 2>&1; then how=bsd; fi;
of() {
  case $how in
    gnu) stat -L -c '%i %s %Y' -- "$1";;
    bsd) stat -L -f '%i %z %m' -- "$1";;
    *) set -- $(ls -dLin -- "$1"); echo "$1 $6 0";;
  esac;
};
regular() {
  if [ $kind = f ]; then find . ! -name . -prune -type f ! -path "*$nl*" "$@";
  else find . \( PRUNED \) -prune -o -type f ! -path "*$nl*" "$@"; fi;
};
packed() { if [ $1 = z ]; then gzip -c; else zstd -9 -qc; fi; };
list() {
  case $kind$how in
    -*) ;;
    ?gnu) regular -exec stat -c '%i %s %Y %n' -- {} +;;
    ?bsd) regular -exec stat -f '%i %z %m %N' -- {} +;;
    *) regular -print | while IFS= read -r n; do echo "$(of "$n") $n"; done;;
  esac 2>/dev/null;
  echo .;
};
bytes() {
  { dd bs=65536 skip=$((o / 65536)) count=$((k / 65536 + 2)) <"$n" 2>/dev/null | tail -c "+$((o % 65536 + 1))";
    while echo; do :; done 2>/dev/null; } | head -c "$k";
};
h=; boot=0;
ready() {
  h=$(uname -n 2>/dev/null) || h=-; hz=$(getconf CLK_TCK 2>/dev/null) || hz=100;
  if [ -r /proc/stat ]; then while read -r q w; do if [ "$q" = btime ]; then boot=$w; fi; done </proc/stat; fi;
};
lives() {
  case $1 in 0) echo '- 0'; return;; esac;
  q=; if [ -r "/proc/$1/stat" ]; then read -r q <"/proc/$1/stat"; fi 2>/dev/null;
  set -- "$1" ${q##*) };
  case $#$2 in
    1) case $(kill -0 "$1" 2>&1) in ''|*ermi*) echo '1 0';; *) echo '0 0';; esac;;
    *Z|*X) echo '0 0';;
    ??*) if [ "$boot" -gt 0 ]; then echo "1 $((boot + ${21} / hz))"; else echo '1 0'; fi;;
  esac;
};
held() {
  if [ ! -f "$1" ]; then echo 0;
  elif ! command -v flock >/dev/null; then echo -;
  else flock -sn "$1" true 2>/dev/null; case $? in 0) echo 0;; 1) echo 1;; *) echo -;; esac; fi;
};
qu=; qt=-;
queue() {
  set -- "$1" "$2" $(ls -dLn -- "$3" 2>/dev/null);
  if [ "$2" = 1 ] || [ "${5:--}" != "$qu" ]; then
    qu=${5:--}; qt=-;
    if q=$(SLURM_TIME_FORMAT=%s timeout 5 squeue -h -r -t all -u "$qu" -o '%i|%T|%S|%r' 2>/dev/null);
    then qt=$nl$q$nl; fi;
  fi;
  case $qt in
    -) echo 'q -';;
    *"$nl$1|"*) q=${qt#*"$nl$1|"}; echo "q $1|${q%%"$nl"*}";;
    *) if [ "$qu" = "$(id -u)" ]; then echo 'q '; else echo 'q -'; fi;;
  esac;
};
echo 'GREETING';
while IFS=' ' read -r a o m; do
  case $a in
    c) IFS= read -r n;
      if [ -d "$n" ] && cd "$n" 2>/dev/null; then kind=d;
      elif [ -f "$n" ]; then
        case $n in */*) d=${n%/*}/;; *) d=./;; esac;
        if cd "$d" 2>/dev/null; then kind=f; else kind=-; fi;
      else kind=-; fi;
      echo "c $kind";;
    l) echo "l $z"; if [ $z = r ]; then list; else list | packed $z; fi;;
    g) IFS= read -r n; i=-; s=0; t=0; k=0;
      if [ -f "$n" ] && [ -r "$n" ]; then
        set -- $(of "$n" 2>/dev/null);
        if [ $# -ge 3 ]; then
          i=$1; s=$2; t=$3;
          if [ "$o" -lt 0 ]; then o=$((s + o)); fi;
          if [ "$o" -lt 0 ]; then o=0; fi;
          k=$((s - o));
          if [ "$k" -gt "$m" ]; then k=$m; fi;
          if [ "$k" -lt 0 ]; then k=0; fi;
        fi;
      fi;
      if [ $i = - ]; then o=0; fi;
      if [ "$k" -gt 16384 ] && [ -z "$big" ]; then pick; fi;
      if [ "$k" -gt 16384 ]; then y=$big; elif [ "$k" -gt 500 ]; then y=$z; else y=r; fi;
      echo "g $i $s $t $o $k $y";
      if [ "$k" -gt 0 ]; then if [ $y = r ]; then bytes; else bytes | packed $y; fi; fi;;
    p) IFS= read -r n; if [ -z "$h" ]; then ready; fi; echo "p $h $(lives "$o") $(lives "$m") $(held "$n")";;
    q) IFS= read -r n; queue "$o" "$m" "$n";;
    r) IFS= read -r n;
      if { [ -d "${n%/*}" ] || mkdir "${n%/*}"; } 2>/dev/null &&
        (printf %s "$o${m:+ $m}" >"$n") 2>/dev/null; then echo 'r 0';
      else echo 'r 1'; fi;;
  esac;
done
"""


def program(*, zstd: bool = False) -> bytes:
    """The loop as one line. zstd: whether this side reads that, whose large pieces are a tenth smaller than gzip's."""
    pruned = " -o ".join(f"-name {name}" for name in SKIPPED)
    script = _SCRIPT.replace("PRUNED", pruned).replace("GREETING", GREETING.decode())
    script = script.replace("ZSTD", "1" if zstd else "0")
    return " ".join(line.strip() for line in script.splitlines()).strip().encode() + b"\n"


def change(path: str) -> bytes:
    """The request to change to a directory; the home directory for an empty path."""
    return b"c\n" + _line(path if path.startswith("/") else f"./{path}")


def listing() -> bytes:
    """The request for the files."""
    return b"l\n"


def get(name: str, offset: int, most: int) -> bytes:
    """The request for bytes of a file below the directory."""
    return b"g %d %d\n" % (offset, most) + _line(f"./{name}")


def processes(pid: int, supervisor: int, lock: str) -> bytes:
    """The request whether two processes are there, 0 for none, and whether a lock is held."""
    return b"p %d %d\n" % (pid, supervisor) + _line(f"./{lock}")


def job(job_id: str, name: str, *, fresh: bool) -> bytes:
    """The request for a job of Slurm, of the owner of a file. fresh: whether Slurm is to be asked anew."""
    return b"q %s %d\n" % (job_id.encode(), fresh) + _line(f"./{name}")


def is_job_id(text: str) -> bool:
    """Whether a text can be the id of a job, also of one of an array."""
    return _JOB.fullmatch(text) is not None


def make(name: str, text: str = "") -> bytes:
    """The request to make a file with a text of one line."""
    return _line(f"r {text}") + _line(f"./{name}")


def _line(text: str) -> bytes:
    data = text.encode("utf-8", "surrogateescape")
    if b"\n" in data or b"\0" in data:
        raise ValueError(f"{text!r} has a line end")
    return data + b"\n"
