//! The shared library over libibverbs and librdmacm that the crate `verbs` opens at run time.
//!
//! A [`core::Core`] is what one core has of all adapters. librdmacm opens each adapter once for the whole process, so that all
//! cores share its context, and what it tells asynchronously reaches one core for all: [`notice`] hands it on. All else (protection
//! domain, queues, event channel) is a core's own.
//!
//! UNSAFETY: this is a layer over C, so every module calls through pointers. What they point to is owned by values that end it when
//! they are dropped ([`owned::Owned`], [`connection::Connection`]), in the order of the fields that hold them: first what uses, then
//! what is used. One thread at a time uses a core, which the table demands of its caller.

mod address;
mod clerk;
mod connect;
mod connection;
mod core;
mod device;
mod ending;
mod event;
mod failure;
mod manager;
mod memory;
mod notice;
mod owned;
mod pair;
mod poll;
mod post;
mod request;
mod table;
mod wait;
