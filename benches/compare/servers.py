"""The servers that are compared. Each serves one folder on a port of its own, on loopback, pinned to one core."""

import os
import re
import shutil
import socket
import subprocess
import time

from condition import peak_bytes, process_seconds

START_SECONDS_MAX = 30
GANESHA = """
NFS_CORE_PARAM {{ Protocols = 3, 4; NFS_Port = {port}; MNT_Port = {mount_port}; Bind_addr = 127.0.0.1; Enable_NLM = false; Enable_RQUOTA = false; Enable_UDP = false; mount_path_pseudo = true; }}
NFSV4 {{ Graceless = true; Minor_Versions = 1,2; Only_Numeric_Owners = true; RecoveryRoot = {state}; }}
LOG {{ Default_Log_Level = WARN; }}
EXPORT {{ Export_Id = 1; Path = {export}; Pseudo = /data; Access_Type = RW; Squash = No_Root_Squash; SecType = sys;
    PrivilegedPort = false; FSAL {{ Name = VFS; }} }}
"""
PENSTOCK = """
[server]
addresses = ["127.0.0.1"]
state_directory = "{state}"
shards = {shards}
rpcbind = "off"
metrics = "127.0.0.1:{metrics_port}"

[[export]]
path = "{export}"
pseudo = "/data"
squash = "none"
{export_lines}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A process that serves, and what it has used."""

    def __init__(self, name, command, port, folder, cores, mount_port=None, metrics_port=None):
        self.name, self.port, self.mount_port, self.metrics_port = name, port, mount_port, metrics_port
        self.log = open(os.path.join(folder, f"{name}.log"), "ab")
        pinned = ["taskset", "-c", ",".join(map(str, cores))] + command
        self.process = subprocess.Popen(pinned, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + START_SECONDS_MAX
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.stop()
                    raise RuntimeError(f"{name} did not start; see {self.log.name}") from None
                time.sleep(0.1)

    def url(self, version):
        mount_port = f"&mountport={self.mount_port}" if version == "3" and self.mount_port else ""
        return f"nfs://127.0.0.1:{self.port}/data?version={version}{mount_port}"

    def cpu_seconds(self):
        return process_seconds(self.process.pid)

    def memory(self):
        """The most it has had in memory, and what it had said at its start it would need at most, if it has."""
        with open(self.log.name, encoding="utf-8", errors="replace") as log:
            bounds = re.findall(r"memory: at most (\d+) MiB", log.read())
        return {"peak_bytes": peak_bytes(self.process.pid), "bound_bytes": int(bounds[-1]) << 20 if bounds else None}

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


def penstock(name, binary, folder, export, cores, export_lines=""):
    state = os.path.join(folder, f"{name}-state")
    os.makedirs(state, mode=0o700, exist_ok=True)
    config = os.path.join(folder, f"{name}.toml")
    port, metrics_port = free_port(), free_port()
    with open(config, "w", encoding="utf-8") as file:
        file.write(PENSTOCK.format(state=state, export=export, shards=len(cores), metrics_port=metrics_port, export_lines=export_lines))
    command = [binary, "serve", "--config", config, "--port", str(port)]
    return Server(name, command, port, folder, cores, metrics_port=metrics_port)


def ganesha(folder, export, cores):
    if shutil.which("ganesha.nfsd") is None:
        return None
    state = os.path.join(folder, "ganesha-state")
    os.makedirs(state, exist_ok=True)
    port, mount_port = free_port(), free_port()
    config = os.path.join(folder, "ganesha.conf")
    with open(config, "w", encoding="utf-8") as file:
        file.write(GANESHA.format(port=port, mount_port=mount_port, state=state, export=export))
    command = ["ganesha.nfsd", "-F", "-f", config, "-L", os.path.join(folder, "ganesha.log"), "-p",
               os.path.join(folder, "ganesha.pid")]
    return Server("ganesha", command, port, folder, cores, mount_port)


def ceiling(name, floor, backend, file, folder, cores, options):
    port = free_port()
    command = [floor, "ceiling", "--listen", f"127.0.0.1:{port}", "--backend", f"127.0.0.1:{backend.port}",
               "--file", file] + options
    return Server(name, command, port, folder, cores)
