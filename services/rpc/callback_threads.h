// Keeps gRPC's callback threads for the life of the process.
//
// In Debian's gRPC the threads that run callbacks go when the last channel and server go. When that
// last one is let go by a callback itself (a client that drops its channel in on_done), the thread
// tries to join itself, frees the queue it still reads from, and the process aborts. One reference
// that is never given back rules that out.
#pragma once

namespace tessera::rpc {

// Takes the reference, once. MakeChannel and Server::Start do it; who creates gRPC channels by
// other means calls it first.
void KeepCallbackThreads();

}  // namespace tessera::rpc
