// The visitor of a variant, one lambda a kind:
//
//   std::visit(base::Overloaded{
//                  [&](const Started& started) { ... },
//                  [&](const Stopped& stopped) { ... },
//              },
//              event);
//
// A kind without a lambda does not compile, which is the point: give it no lambda for everything
// else that ignores what it is given. Holds references as its lambdas do; no threads of its own.
#pragma once

namespace tessera::base {

template <typename... Visitors>
struct Overloaded : Visitors... {
  using Visitors::operator()...;
};
template <typename... Visitors>
Overloaded(Visitors...) -> Overloaded<Visitors...>;

}  // namespace tessera::base
