// A small disk of a test's own: an ext4 in a file, mounted through a loop device, to be filled.
//
// Needs root, loop devices and mkfs.ext4. Threads: one.
#pragma once

#include <cstdint>
#include <string>

namespace tessera::base {

class SmallDisk {
 public:
  // Mounts an empty disk on the folder, which must be there. See why_not().
  SmallDisk(const std::string& mount_point, int mebibytes);
  // Unmounts it, also while something of it is still open.
  ~SmallDisk();
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  // Why there is no such disk on this machine, for the line that says what is skipped; empty: it is
  // mounted.
  const std::string& why_not() const { return why_not_; }

  // Takes all space that is left, and what others have given back since; returns whether nothing is
  // left.
  bool Fill();
  // Gives back what Fill took.
  void Free();
  // Bytes that can still be written.
  uint64_t FreeBytes() const;

 private:
  const std::string mount_point_;
  std::string image_;
  std::string why_not_;
};

}  // namespace tessera::base
