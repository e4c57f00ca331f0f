import CCarousel
import LSTM
import ModelFiles

@_cdecl("carousel_trainer_save") @implementation
public func carousel_trainer_save(
  _ trainer: OpaquePointer?, _ path: UnsafePointer<CChar>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let object = try TrainerObject.of(trainer)
    try Checkpoint.save(object.trainer, to: try Argument.path(path))
  }
}

@_cdecl("carousel_trainer_resume") @implementation
public func carousel_trainer_resume(
  _ trainer: OpaquePointer?, _ path: UnsafePointer<CChar>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let object = try TrainerObject.of(trainer)
    let path = try Argument.path(path)
    try object.change { (trainer) throws(EngineError) in
      try Checkpoint.resume(trainer, from: path)
    }
  }
}
