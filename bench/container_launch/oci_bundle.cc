#include "bench/container_launch/oci_bundle.h"

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

namespace tessera::bench {
namespace {

using nlohmann::json;

json Mount(const std::string& destination, const std::string& type, const std::string& source,
           const std::vector<std::string>& options) {
  return {{"destination", destination}, {"type", type}, {"source", source}, {"options", options}};
}

}  // namespace

bool MakeRootfs(const std::string& directory) {
  namespace fs = std::filesystem;
  const fs::path bin = fs::path(directory) / "rootfs" / "bin";
  std::error_code error;
  fs::create_directories(bin, error);
  fs::create_directories(fs::path(directory) / "sandbox", error);
  if (!fs::copy_file("/bin/busybox", bin / "busybox", error)) return false;
  for (const char* applet : {"sh", "true"}) fs::create_symlink("busybox", bin / applet, error);
  return !error;
}

void WriteBundle(const std::string& directory, const ContainerShape& shape) {
  json config;
  config["ociVersion"] = "1.0.2";
  config["process"] = {{"terminal", false},
                       {"user", {{"uid", 0}, {"gid", 0}}},
                       {"args", {"/bin/true"}},
                       {"env", {"PATH=/bin"}},
                       {"cwd", "/"}};
  config["root"] = {{"path", "rootfs"}, {"readonly", false}};
  config["hostname"] = "container";
  config["mounts"] = {
      Mount("/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}),
      Mount("/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"}),
      Mount("/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}),
      Mount("/dev/pts", "devpts", "devpts",
            {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}),
      Mount("/dev/shm", "tmpfs", "shm", {"nosuid", "nodev", "mode=1777"}),
      Mount("/mnt/tessera/sandbox", "bind", directory + "/sandbox", {"rbind", "rw"}),
  };
  config["linux"] = {
      {"namespaces",
       {{{"type", "pid"}},
        {{"type", "ipc"}},
        {{"type", "uts"}},
        {{"type", "mount"}},
        {{"type", "cgroup"}}}},
      {"resources",
       {{"cpu", {{"shares", shape.cpu_shares}}},
        {"memory", {{"limit", shape.memory_bytes}}},
        {"pids", {{"limit", shape.pids}}}}},
      {"readonlyPaths", {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}},
  };
  std::ofstream(directory + "/config.json") << config.dump(1);
}

}  // namespace tessera::bench
