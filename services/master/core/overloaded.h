// One visitor of several functions, for std::visit: the compiler demands one for each alternative.
#pragma once

namespace tessera::master {

template <typename... Visitors>
struct Overloaded : Visitors... {
  using Visitors::operator()...;
};
template <typename... Visitors>
Overloaded(Visitors...) -> Overloaded<Visitors...>;

}  // namespace tessera::master
