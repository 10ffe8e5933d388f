// Sends and receives frames (wire.h) with file descriptors over unix sockets.
//
// Blocking calls without allocation, used by the agent's workers, the launcher and init alike. They
// retry EINTR. Received descriptors are close-on-exec.
#pragma once

#include <stddef.h>

namespace tessera::agent::wire {

inline constexpr size_t kMaximumFiles = 64;

// Sends all bytes, the descriptors with the first. Returns 0, or the errno.
int SendAll(int socket, const char* bytes, size_t size, const int* files, size_t file_count);

// Receives exactly `size` bytes and up to `file_capacity` descriptors (the rest is closed). Returns
// 0, or the errno; EPIPE when the other end closed first.
int ReceiveExactly(int socket, char* bytes, size_t size, int* files, size_t file_capacity,
                   size_t* file_count);

// One packet of a SOCK_SEQPACKET. Returns its size, 0 when the other end is closed, or -errno.
long ReceivePacket(int socket, char* bytes, size_t capacity, int* files, size_t file_capacity,
                   size_t* file_count);

}  // namespace tessera::agent::wire
