// CRC-32C (Castagnoli), the checksum of the log's frames. Threads: pure function.
#pragma once

#include <cstdint>
#include <string_view>

namespace tessera::agent {

uint32_t Crc32c(std::string_view bytes);

}  // namespace tessera::agent
