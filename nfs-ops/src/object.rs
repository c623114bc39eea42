//! What a current file handle stands for.

use std::rc::Rc;

use vfs::{Identity, Vfs};
use wire::nfs4::Status;

use crate::export::{Export, Permission};
use crate::handle::{HandleContent, PseudoId};

/// An object of an export, with who asks for it.
pub struct Place<V: Vfs> {
    /// The export it is in.
    pub export: Rc<Export<V>>,
    /// The object.
    pub node: V::Node,
    /// Whom the export takes the caller for.
    pub identity: Identity,
    /// What the caller's address may do there.
    pub permission: Permission,
}

impl<V: Vfs> Clone for Place<V> {
    fn clone(&self) -> Self {
        Self {
            export: self.export.clone(),
            node: self.node.clone(),
            identity: self.identity.clone(),
            permission: self.permission,
        }
    }
}

impl<V: Vfs> Place<V> {
    /// The storage the object is in.
    pub fn storage(&self) -> &V {
        &self.export.storage
    }

    /// The same export and caller with another object.
    pub fn with(&self, node: V::Node) -> Self {
        Self { node, ..self.clone() }
    }

    /// What a file handle of this object says.
    pub fn content(&self) -> HandleContent {
        HandleContent::Node(self.export.settings.id, self.export.storage.handle(&self.node))
    }

    /// Refuses to go on when the caller may only read here.
    ///
    /// # Errors
    /// `NFS4ERR_ROFS`.
    pub fn writable(&self) -> Result<(), Status> {
        if self.permission == Permission::Write { Ok(()) } else { Err(Status::Rofs) }
    }
}

/// What a current or saved file handle stands for.
pub enum Object<V: Vfs> {
    /// A directory of the pseudo file system.
    Pseudo(PseudoId),
    /// An object of an export.
    Node(Place<V>),
}

impl<V: Vfs> Clone for Object<V> {
    fn clone(&self) -> Self {
        match self {
            Object::Pseudo(id) => Object::Pseudo(*id),
            Object::Node(place) => Object::Node(place.clone()),
        }
    }
}

impl<V: Vfs> Object<V> {
    /// What a file handle of this object says.
    pub fn content(&self) -> HandleContent {
        match self {
            Object::Pseudo(id) => HandleContent::Pseudo(*id),
            Object::Node(place) => place.content(),
        }
    }
}
