#!/bin/sh
# Stands in for what of Android's framework a computer calls over adb: pm, am, dumpsys and pidof, by the name it is called.
# It holds no Android: what the app would write lies prepared in rows/, and files say how the phone behaves.
here="$(cd "$(dirname "$0")" && pwd)"
home="$(cat "$here/home")"
case "$(basename "$0") $1" in
"pm install")
  [ ! -f "$here/refusal" ] || { cat "$here/refusal"; exit 1; }
  [ -f "$3" ] && cp "$3" "$here/installed.apk" && echo install >> "$here/done" && echo Success ;;
"pm uninstall") rm -rf "$here/installed.apk" "$home"; echo Success ;;
"dumpsys package") [ ! -f "$here/installed.apk" ] || echo "    versionName=0.1.0+$(cat "$here/build")" ;;
"dumpsys power") echo "  mWakefulness=$(cat "$here/wakefulness" 2>/dev/null || echo Awake)" ;;
"dumpsys window") [ ! -f "$here/locked" ] || echo "    mDreamingLockscreen=true" ;;
"am force-stop") rm -f "$here/pid" ;;
"am start")
  [ -f "$here/installed.apk" ] || { echo "Error type 3"; echo "Error: Activity class does not exist."; exit 0; }
  mkdir -p "$home/jobs" "$home/evaluation" "$home/results" && : > "$home/ready"
  job="$6"
  [ -n "$job" ] || exit 0
  echo start >> "$here/done"
  : > "$here/pid"
  case "$(cat "$here/mood" 2>/dev/null)" in
  killed) rm -f "$here/pid" ;;
  away) echo '{"state": "paused", "says": "", "done": 0, "total": 0}' > "$home/results/$job.progress" ;;
  silent) echo '{"state": "running", "says": "Round 1 of 9", "done": 0, "total": 9}' > "$home/results/$job.progress" ;;
  *) cp "$here/rows/${job#*-}.json" "$home/results/$job.json" ;;
  esac ;;
"pidof "*) [ -f "$here/pid" ] && echo 4711 ;;
*) exit 0 ;;
esac
