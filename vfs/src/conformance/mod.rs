//! What every storage must do, as tests over the interface: `mem` passes them, and so must whatever else
//! implements [`Vfs`]. The storage under test must let the tests act as several users, so a real file system
//! is tested as root.
//!
//! ```text
//! vfs::conformance::run(&vfs, &pool).await;
//! ```

mod create;
mod data;
mod directory;
mod handle;
mod namespace;
mod permission;
mod sparse;
mod xattr;

use buf::{Chain, Pool};

use crate::{
    Attributes, CreateHow, Created, Identity, NewObject, OpenAccess, Opened, SetAttributes, Stability, Vfs,
};

/// Runs one case after another, each in a directory of its own.
macro_rules! run_all {
    ($vfs:expr, $pool:expr, [$($module:ident :: $case:ident),* $(,)?]) => {$(
        let name = concat!(stringify!($module), "::", stringify!($case));
        println!("conformance case {name}");
        let fixture = Fixture::new($vfs, $pool, name).await;
        Box::pin($module::$case(&fixture)).await;
    )*};
}

/// Runs all cases below the export's root. Panics at the first that fails, having printed its name. What a
/// case leaves behind stays in the directory of its name.
pub async fn run<V: Vfs>(vfs: &V, pool: &Pool) {
    run_all!(
        vfs,
        pool,
        [
            namespace::made_objects_are_found_and_removed,
            namespace::only_what_is_asked_for_is_removed,
            namespace::names_are_single_components,
            namespace::hard_links_are_one_object,
            namespace::rename_replaces_what_may_be_replaced,
            namespace::rename_refuses_cycles_and_unlike_objects,
            namespace::renaming_between_two_names_of_one_object_does_nothing,
            namespace::parents_lead_to_the_root,
            namespace::paths_lead_from_the_root,
            namespace::every_change_moves_the_change_attribute,
            permission::mode_bits_decide_by_the_first_class_that_fits,
            permission::supplementary_groups_count,
            permission::sticky_directories_protect_their_entries,
            permission::directories_need_search_and_write,
            permission::only_owners_change_attributes,
            permission::writing_clears_setuid,
            permission::the_opener_of_a_read_only_file_writes,
            permission::reclaims_ask_nobody,
            create::unchecked_finds_and_truncates,
            create::guarded_refuses_what_is_there,
            create::exclusive_finds_its_own_file_again,
            create::failures_leave_nothing_behind,
            create::new_objects_inherit_the_group_of_a_setgid_directory,
            create::the_umask_applies_to_new_objects,
            create::only_regular_files_are_opened,
            handle::handles_name_their_object_for_ever,
            handle::handles_of_removed_objects_are_stale,
            handle::open_files_outlive_their_name,
            handle::kept_files_do_not,
            directory::pages_join_without_gap_or_repeat,
            directory::removals_between_pages_disturb_nobody,
            directory::entries_carry_attributes_and_handles,
            data::what_was_written_is_read,
            data::stable_writes_are_stable,
            data::truncation_cuts_and_extends,
            data::files_refuse_what_they_were_not_opened_for,
            data::copies_carry_bytes,
            sparse::holes_and_data_are_found,
            sparse::deallocated_ranges_read_as_zeros,
            sparse::allocated_ranges_are_used,
            sparse::clones_are_independent,
            xattr::attributes_are_set_listed_and_removed,
            xattr::presence_is_checked_as_asked,
        ]
    );
}

/// A storage under test and an empty directory of mode 0777 that belongs to the superuser.
struct Fixture<V: Vfs> {
    vfs: V,
    pool: Pool,
    directory: V::Node,
}

impl<V: Vfs> Fixture<V> {
    async fn new(vfs: &V, pool: &Pool, name: &str) -> Self {
        let (root, set) = (vfs.root(), mode(0o777));
        let directory = NewObject::Directory;
        let made = vfs.create(&root, &Identity::root(), name.as_bytes(), directory, &set).await;
        Self { vfs: vfs.clone(), pool: pool.clone(), directory: made.expect("a case's directory").node }
    }

    /// A new file in the fixture's directory, made by `identity` and open for reading and writing.
    async fn file(&self, identity: &Identity, name: &[u8], bits: u32) -> Opened<V::Node, V::File> {
        let (how, set) = (CreateHow::Guarded, mode(bits));
        let opened = self.vfs.open_create(&self.directory, identity, name, how, &set, OpenAccess::Both);
        opened.await.expect("a new file")
    }

    async fn subdirectory(&self, identity: &Identity, name: &[u8], bits: u32) -> Created<V::Node> {
        let (object, set) = (NewObject::Directory, mode(bits));
        let made = self.vfs.create(&self.directory, identity, name, object, &set);
        made.await.expect("a new directory")
    }

    async fn attributes(&self, node: &V::Node) -> Attributes {
        self.vfs.attributes(node).await.expect("attributes of a living object")
    }

    fn payload(&self, bytes: &[u8]) -> Chain {
        let mut chain = self.pool.take(bytes.len(), 0).expect("the tests' payloads are few and small");
        chain.copy_from(0, bytes);
        chain
    }

    async fn write(&self, file: &V::File, identity: &Identity, offset: u64, bytes: &[u8]) {
        let payload = self.payload(bytes);
        let (_, written) = self.vfs.write(file, identity, offset, payload, Stability::Unstable).await;
        assert_eq!(written.expect("a write").bytes, bytes.len());
    }

    /// What is at `offset`, up to `length` bytes, and whether the file ends there.
    async fn read(&self, file: &V::File, offset: u64, length: usize) -> (Vec<u8>, bool) {
        let buffer = self.pool.take(length, 0).expect("the tests' payloads are few and small");
        let (mut buffer, done) = self.vfs.read(file, offset, buffer).await;
        let done = done.expect("a read");
        buffer.truncate(done.bytes);
        (buffer.to_vec(), done.end_of_file)
    }
}

/// A user of his own group.
fn alice() -> Identity {
    Identity::new(70_001, 70_001, &[])
}

/// Another.
fn bob() -> Identity {
    Identity::new(70_002, 70_002, &[])
}

fn mode(bits: u32) -> SetAttributes {
    SetAttributes { mode: Some(bits), ..Default::default() }
}

fn size(bytes: u64) -> SetAttributes {
    SetAttributes { size_bytes: Some(bytes), ..Default::default() }
}

#[cfg(test)]
mod tests {
    use crate::mem::MemStorage;

    #[test]
    fn memory_conforms() {
        let pool = buf::Pool::new(4 << 20).expect("memory");
        let storage = MemStorage::default();
        let view = storage.view();
        let run = std::pin::pin!(super::run(&view, &pool));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(run.poll(&mut context).is_ready(), "memory never waits");
        assert_eq!(pool.bytes_taken(), 0);
    }
}
