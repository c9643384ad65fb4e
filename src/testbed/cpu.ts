// CPU time and memory from /proc (proc(5)): of single processes and of the whole machine. The
// kernel's tunnel devices work in softirq context, charged to whoever was running, so variants are
// compared by the whole machine.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";

/** USER_HZ: 100 on every Linux architecture that Node.js supports. */
const ticks_per_s = 100;

/** CPU seconds (user + system, all threads) that a line of /proc/PID/stat shows. */
export function parseProcessCpu(stat: string): number {
  // The command name may hold spaces and parentheses; fields are counted from after its closing
  // one.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / ticks_per_s;
}

/**
 * CPU seconds in which any CPU was busy (idle, iowait and steal left out), from the text of
 * /proc/stat.
 */
export function parseMachineCpu(stat: string): number {
  const [user, nice, system, , , irq, softirq] = stat
    .slice(0, stat.indexOf("\n"))
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return (user! + nice! + system! + irq! + softirq!) / ticks_per_s;
}

/** CPU seconds of a process; 0 when it is gone. */
export function processCpu_s(pid: number): number {
  try {
    return parseProcessCpu(readFileSync(`/proc/${pid}/stat`, "latin1"));
  } catch {
    return 0;
  }
}

/**
 * CPU seconds of the threads that a process has now, to the nanosecond where the kernel counts them
 * (/proc/PID/task/TID/schedstat, sched-stats.rst), else by processCpu_s; 0 when it is gone.
 */
export function preciseProcessCpu_s(pid: number): number {
  try {
    return readdirSync(`/proc/${pid}/task`)
      .map((tid) => readFileSync(`/proc/${pid}/task/${tid}/schedstat`, "latin1"))
      .reduce((total_s, line) => total_s + Number(line.split(" ")[0]) / 1e9, 0);
  } catch {
    return processCpu_s(pid);
  }
}

export function machineCpu_s(): number {
  return parseMachineCpu(readFileSync("/proc/stat", "latin1"));
}

/** Resident memory of a process (VmRSS); 0 when it is gone. */
export function residentMemory_bytes(pid: number): number {
  return statusMemory_bytes(pid, "VmRSS");
}

/** The most memory that a process had resident since resetPeakMemory, or since its start. */
export function peakMemory_bytes(pid: number): number {
  return statusMemory_bytes(pid, "VmHWM");
}

/**
 * Lets the peak of a process begin at what it has now (proc(5), clear_refs 5). Where the kernel
 * cannot, the peak stays that since the start.
 */
export function resetPeakMemory(pid: number): void {
  try {
    writeFileSync(`/proc/${pid}/clear_refs`, "5");
  } catch {}
}

function statusMemory_bytes(pid: number, line: "VmRSS" | "VmHWM"): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "latin1");
    return Number(new RegExp(`^${line}:\\s+(\\d+) kB`, "m").exec(status)?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}

/** CPU seconds of the given processes together. */
export function processesCpu_s(pids: readonly number[]): number {
  return pids.reduce((total, pid) => total + processCpu_s(pid), 0);
}

export interface CpuUse {
  /** Whole machine. */
  machine_s: number;
  /** The given processes together. */
  processes_s: number;
}

/** Starts counting; the returned function gives what was used since. */
export function startCpuMeter(pids: readonly number[]): () => CpuUse {
  const before = { machine_s: machineCpu_s(), processes_s: processesCpu_s(pids) };
  return () => ({
    machine_s: machineCpu_s() - before.machine_s,
    processes_s: processesCpu_s(pids) - before.processes_s,
  });
}
