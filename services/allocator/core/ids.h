// Dense numbers that stand for ids inside the allocator.
//
// The wire interns each framework id, agent id, role path and resource identity once; the core
// indexes its tables with the numbers. A number means something only together with the Vocabulary
// that gave it.
#pragma once

#include <cstdint>
#include <type_traits>

namespace tessera::allocator {

enum class FrameworkNum : uint32_t {};
enum class AgentNum : uint32_t {};
enum class RoleNum : uint32_t {};
// The identity of a resource object: all but its amount.
enum class KindNum : uint32_t {};
// One framework in one role: what a sorter orders and what a filter belongs to.
enum class ClientNum : uint32_t {};

inline constexpr uint32_t kNoNumber = 0xffffffff;
// The root of the role tree; no framework can subscribe to it.
inline constexpr RoleNum kRootRole{0};
inline constexpr RoleNum kNoRole{kNoNumber};

template <typename Number>
requires std::is_enum_v<Number>
constexpr uint32_t Index(Number number) { return static_cast<uint32_t>(number); }

}  // namespace tessera::allocator
