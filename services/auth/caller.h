// Who asks for something: the part of an event that decisions about rights will look at.
//
// Adapters make a Caller of what the transport knows (services/rpc/caller.h for gRPC, services/http
// for HTTP) and put it into every event that somebody outside can cause. Cores only read it.
//
// Invariants: a default-constructed Caller is somebody unknown who has proven nothing, so an
// adapter that forgets to fill one gives nobody rights. What a caller says of itself in its
// messages (a framework's principal, say) never gets in here. All texts are bounded.
//
// Threads: an immutable value; a copy costs one reference count.
#pragma once

#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace tessera::auth {

// How it is known who the caller is.
enum class Proof {
  // Not at all.
  kNone,
  // By the certificate of its transport.
  kCertificate,
};

struct CallerFacts {
  // The authenticated name; empty when there is none.
  std::string principal;
  // What the one who vouches for the name says it belongs to, sorted.
  std::vector<std::string> groups;
  Proof proof = Proof::kNone;
  // `ip:port`, `[v6]:port` or `unix:path` of the transport's other end: that of a proxy where there
  // is one. Empty: unknown.
  std::string address;
  // Names the request in the logs of all services that it passes (request_id.h).
  std::string request_id;
};

class Caller {
 public:
  Caller() : facts_(Nobody()) {}
  explicit Caller(CallerFacts facts)
      : facts_(std::make_shared<const CallerFacts>(std::move(facts))) {}

  const std::string& principal() const { return facts_->principal; }
  const std::vector<std::string>& groups() const { return facts_->groups; }
  Proof proof() const { return facts_->proof; }
  bool authenticated() const { return facts_->proof != Proof::kNone; }
  const std::string& address() const { return facts_->address; }
  const std::string& request_id() const { return facts_->request_id; }

 private:
  static const std::shared_ptr<const CallerFacts>& Nobody() {
    static const auto* nobody =
        new std::shared_ptr<const CallerFacts>(std::make_shared<const CallerFacts>());
    return *nobody;
  }

  // Never null, also not after a move: moving a Caller copies it.
  std::shared_ptr<const CallerFacts> facts_;

 public:
  Caller(const Caller&) = default;
  Caller& operator=(const Caller&) = default;
};

namespace caller_internal {

template <typename Event>
concept HasCaller = std::is_same_v<decltype(Event::caller), Caller>;

template <typename Event, typename... Own>
inline constexpr bool kIsOneOf = (std::is_same_v<Event, Own> || ...);

template <typename Variant, typename... Own>
struct Check;
template <typename... Events, typename... Own>
struct Check<std::variant<Events...>, Own...> {
  static constexpr bool kEach = ((HasCaller<Events> != kIsOneOf<Events, Own...>)&&...);
  static constexpr bool kKnown = (kIsOneOf<Own, Events...> && ...);
};

}  // namespace caller_internal

// True when each event of the variant either has a member `caller` or is one of Own: those that the
// process brings about itself, such as answers of its clients, ends of streams and timers. A core
// asserts it beside its events, so that a new event cannot forget who asks.
template <typename EventVariant, typename... Own>
inline constexpr bool kCarriesCallers = caller_internal::Check<EventVariant, Own...>::kEach&&
    caller_internal::Check<EventVariant, Own...>::kKnown;

}  // namespace tessera::auth
